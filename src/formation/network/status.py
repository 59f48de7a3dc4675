"""What HTTP calls its answers."""


def status_text(status: int) -> str:
    """`404 Not Found`. Not the server's own phrase: it may hold anything, terminal escapes too."""
    return f"{status} {status_phrase(status)}".rstrip()


def status_phrase(status: int) -> str:
    """`Not Found`; empty for a status that HTTP does not know."""
    # Of errors only: the table takes 2 ms.
    from http import HTTPStatus

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
