"""Errors as RFC 9457 problem bodies with a stable ``code`` and a ``hint``."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException


class Problem(Exception):
    """An answer other than success; ``detail`` says what was wrong, ``hint`` what to do."""

    def __init__(
        self, status: int, code: str, detail: str, hint: str = "", retry_after_s: int | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.hint = status, code, detail, hint
        self.retry_after_s = retry_after_s


def answer(problem: Problem) -> JSONResponse:
    body = {
        "type": f"urn:streamrefer:problem:{problem.code}",
        "title": problem.code.replace("_", " "),
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "hint": problem.hint,
    }
    headers = {"Retry-After": str(problem.retry_after_s)} if problem.retry_after_s else None
    return JSONResponse(body, problem.status, headers, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Make every error of the application a problem body."""

    @app.exception_handler(Problem)
    async def _own(_: Request, error: Problem) -> JSONResponse:
        return answer(error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return answer(Problem(422, "invalid_request", f"{where}: {first['msg']}", "see /docs for the fields"))

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
        return answer(Problem(error.status_code, code, str(error.detail)))
