"""WSGI application: /NUMBER gives an answer. The model is loaded as the module is imported."""

# mypy: ignore-errors

from answers import answer, load

load()


def application(environ, start_response):
    """Answer a request (PEP 3333)."""
    text = answer(int(environ["PATH_INFO"].strip("/") or 0)).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]
