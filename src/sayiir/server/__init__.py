"""The HTTP API and the pages over `sayiir.service`, as one ASGI app.

app.py        `create_app`
security.py   who asks, from where, and what every answer carries
problems.py   errors as problem+json with stable codes
routing.py    endpoints: what each takes and gives, and how it is found by the path as it was sent
openapi.py    the OpenAPI document, made from the endpoints
watching.py   one thread that notices changes, for all streams and long polls
api/          the endpoints

Needs `pip install 'sayiir[ui]'`.
"""

from sayiir.server.app import create_app

__all__ = ["create_app"]
