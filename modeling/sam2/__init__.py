"""SAM 2 made to follow a stream: build the network, keep a bounded memory, save and restore it.

The network itself is Meta's ``sam2`` package (pinned); what is here is the assembly, the memory and the session.
"""
