"""Signing in: the endpoints that credentials ask, and the metadata service inside every VM.

SDK clients are never signed in, so nothing here is asked for their sake. It is for programs that
ask a credential themselves (plain REST, first-generation SDKs, libraries that insist): whoever
asks gets a token, whatever the secret. A token looks like Azure's and is worth nothing.

What is not served: signing in through a browser, Microsoft Graph, keys that would verify a token.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import UUID, uuid5

from pytest_azurevm._hosts import AzureOutOfReach, host_of, part_of
from pytest_azurevm._http import Request, Response

_ARM: Final = "https://management.azure.com/"
_NAMES: Final = UUID("8f0a3c1e-7d0b-4d5c-9f3a-2b6c1d4e5f60")  # any constant
# A token of an application lives for an hour less a second, a managed identity's for a day [doc].
_LIFE_S: Final = 3_599
_IDENTITY_LIFE_S: Final = 86_399
_JSON: Final = "application/json; charset=utf-8"
_DEFAULT_SCOPE: Final = "/.default"
# Grants on behalf of a person: these come with a refresh token and say who it is [doc].
_PERSONAL: Final = frozenset(
    {
        "password",
        "refresh_token",
        "authorization_code",
        "device_code",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
    }
)


class Identity:
    """Answers what credentials ask.

    Args:
        tenant_id: the tenant of whoever does not name one by its UUID.
        subscription_id: the subscription of the VM whose metadata are asked for.
        location: its region.
    """

    def __init__(self, *, tenant_id: str, subscription_id: str, location: str) -> None:
        self._tenant_id = tenant_id
        self._compute = {
            "azEnvironment": "AzurePublicCloud",
            "location": location,
            "provider": "Microsoft.Compute",
            "subscriptionId": subscription_id,
        }

    def handle(self, request: Request) -> Response:
        """Answer *request*.

        Raises:
            AzureOutOfReach: it asks for something that is not served.
        """
        url = urlsplit(request.url)
        path = unquote(url.path).rstrip("/").lower()
        if part_of(host_of(request.url)) == "metadata":
            query = dict(parse_qsl(url.query))
            return self._metadata(request, path, query)
        base = f"https://{host_of(request.url)}"
        segments = path.split("/")[1:]
        route = _ROUTES.get(tuple(segments[1:])) if len(segments) > 1 else None
        if route is not None:
            return route(self, request, base, segments[0])
        if segments[:2] == ["common", "userrealm"]:
            return _json(self._realm(segments[2] if segments[2:] else ""))
        raise _not_served(request)

    # --- sign-in -------------------------------------------------------------------------------

    def _tenant(self, named: str) -> str:
        """Give a tenant's UUID, where a request may have its name or a word for any."""
        try:
            return str(UUID(named))
        except ValueError:
            return self._tenant_id

    def _known_instances(self, request: Request, base: str, _tenant: str) -> Response:
        host = base.partition("://")[2]
        query = dict(parse_qsl(urlsplit(request.url).query))
        authority = query.get("authorization_endpoint", base).partition("/oauth2")[0]
        return _json(
            {
                "tenant_discovery_endpoint": f"{authority}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [
                    {"preferred_network": host, "preferred_cache": host, "aliases": [host]}
                ],
            }
        )

    def _configuration(self, _request: Request, base: str, tenant: str) -> Response:
        tenant_id = self._tenant(tenant)
        mine = f"{base}/{tenant_id}"
        return _json(
            {
                "token_endpoint": f"{mine}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "jwks_uri": f"{mine}/discovery/v2.0/keys",
                "issuer": f"{mine}/v2.0",
                "authorization_endpoint": f"{mine}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{mine}/oauth2/v2.0/devicecode",
                "tenant_region_scope": "EU",
                "cloud_instance_name": "microsoftonline.com",
                "cloud_graph_host_name": "graph.windows.net",
                "msgraph_host": "graph.microsoft.com",
            }
        )

    def _device_code(self, _request: Request, base: str, _tenant: str) -> Response:
        return _json(
            {
                "user_code": "FAKE12345",
                "device_code": "fake-device-code",
                "verification_uri": f"{base}/device",
                "expires_in": 900,
                "interval": 5,
                "message": "This is a fake: no code has to be entered, you are signed in.",
            }
        )

    def _realm(self, user: str) -> dict[str, Any]:
        return {
            "ver": "1.0",
            "account_type": "Managed",
            "domain_name": user.partition("@")[2],
            "cloud_instance_name": "microsoftonline.com",
            "cloud_audience_urn": "urn:federation:MicrosoftOnline",
        }

    def _token(self, request: Request, base: str, tenant: str) -> Response:
        form = dict(parse_qsl(request.body.decode(errors="replace")))
        grant = form.get("grant_type")
        if request.method.upper() != "POST" or not grant:
            return _json(
                {
                    "error": "invalid_request",
                    "error_description": "AADSTS900144: The request body must contain the "
                    "following parameter: 'grant_type'.",
                    "error_codes": [900144],
                },
                400,
            )
        tenant_id = self._tenant(tenant)
        scopes = form.get("scope", "").split()
        resource = form.get("resource") or next(
            (scope for scope in scopes if "://" in scope), _ARM + _DEFAULT_SCOPE
        )
        audience = resource.removesuffix(_DEFAULT_SCOPE)
        client_id = form.get("client_id", "")
        user = form.get("username") or ("someone@example.com" if grant in _PERSONAL else "")
        claims = self._claims(tenant_id, audience, _LIFE_S, client_id=client_id, user=user)
        answer: dict[str, Any] = {
            "token_type": "Bearer",
            "expires_in": _LIFE_S,
            "ext_expires_in": _LIFE_S,
            "access_token": _jwt(claims),
        }
        if user:
            account = {"uid": claims["oid"], "utid": tenant_id}
            answer |= {
                "scope": " ".join(scopes) or audience,
                "refresh_token": "fake-refresh-token",
                "id_token": _jwt(
                    {**claims, "aud": client_id, "iss": f"{base}/{tenant_id}/v2.0"},
                ),
                "client_info": _base64(account),
            }
        if "resource" in form:  # the older endpoint, which writes numbers as text [doc]
            answer |= {
                "expires_in": str(_LIFE_S),
                "ext_expires_in": str(_LIFE_S),
                "expires_on": str(claims["exp"]),
                "not_before": str(claims["nbf"]),
                "resource": form["resource"],
            }
        return _json(answer)

    def _claims(
        self, tenant_id: str, audience: str, life_s: int, *, client_id: str, user: str = ""
    ) -> dict[str, Any]:
        # Whoever holds a token looks at the process' own clock to see whether it is still good:
        # the real one, unless that is frozen.
        now = int(time.time())
        who = str(uuid5(_NAMES, user or client_id))
        claims = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{tenant_id}/",
            "iat": now,
            "nbf": now,
            "exp": now + life_s,
            "appid": client_id,
            "idtyp": "user" if user else "app",
            "oid": who,
            "sub": who,
            "tid": tenant_id,
            "ver": "1.0",
        }
        return {**claims, "upn": user, "preferred_username": user} if user else claims

    # --- instance metadata ---------------------------------------------------------------------

    def _metadata(self, request: Request, path: str, query: Mapping[str, str]) -> Response:
        if not any(
            name.lower() == "metadata" and value.lower() == "true"
            for name, value in request.headers.items()
        ):
            # This is also how credentials find out whether there is such a service at all.
            return _json(
                {
                    "error": "invalid_request",
                    "error_description": "Required metadata header not specified",
                },
                400,
            )
        if path == "/metadata/identity/oauth2/token":
            return self._managed_identity(query)
        shown: Any = {"compute": self._compute}
        for name in path.removeprefix("/metadata/instance").split("/")[1:]:
            known = {key.lower(): value for key, value in shown.items()} if shown else {}
            shown = known.get(name)
        if not path.startswith("/metadata/instance") or shown is None:
            raise _not_served(request)
        if query.get("format") == "text" and isinstance(shown, str):
            return Response(200, {"Content-Type": "text/plain; charset=utf-8"}, shown.encode())
        return _json(shown)

    def _managed_identity(self, query: Mapping[str, str]) -> Response:
        resource = query.get("resource")
        if not resource:
            return _json(
                {
                    "error": "invalid_request",
                    "error_description": "Required query variable 'resource' is missing",
                },
                400,
            )
        named = query.get("client_id") or query.get("object_id") or query.get("msi_res_id") or ""
        client_id = query.get("client_id") or str(uuid5(_NAMES, f"identity {named}"))
        claims = self._claims(self._tenant_id, resource, _IDENTITY_LIFE_S, client_id=client_id)
        return _json(
            {
                "access_token": _jwt(claims),
                "client_id": client_id,
                "expires_in": str(_IDENTITY_LIFE_S),
                "expires_on": str(claims["exp"]),
                "ext_expires_in": str(_IDENTITY_LIFE_S),
                "not_before": str(claims["nbf"]),
                "resource": resource,
                "token_type": "Bearer",
            }
        )


_Route = Callable[[Identity, Request, str, str], Response]
# Below a tenant, or below what stands for any.
_ROUTES: Final[dict[tuple[str, ...], _Route]] = {
    ("discovery", "instance"): Identity._known_instances,  # noqa: SLF001  a table of our own
    ("v2.0", ".well-known", "openid-configuration"): Identity._configuration,  # noqa: SLF001
    (".well-known", "openid-configuration"): Identity._configuration,  # noqa: SLF001
    ("oauth2", "v2.0", "token"): Identity._token,  # noqa: SLF001
    ("oauth2", "token"): Identity._token,  # noqa: SLF001
    ("oauth2", "v2.0", "devicecode"): Identity._device_code,  # noqa: SLF001
}


def _not_served(request: Request) -> AzureOutOfReach:
    return AzureOutOfReach(
        f"{request.method.upper()} {request.url} was not sent: pytest-azurevm serves tokens and "
        "the few documents that credentials read on their way to one, and this is none of them. "
        "Let the test answer it (responses, respx, a mock), or hand the code under test another "
        "credential."
    )


def _json(body: Mapping[str, Any], status: int = 200) -> Response:
    raw = json.dumps(body).encode()
    headers = {
        "Cache-Control": "no-store, no-cache",
        "Content-Type": _JSON,
        "Content-Length": str(len(raw)),
    }
    return Response(status, headers, raw)


def _base64(value: Mapping[str, Any] | bytes) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _jwt(claims: Mapping[str, Any]) -> str:
    """Write claims as a token of the usual form, whose signature nobody can verify."""
    header = {"typ": "JWT", "alg": "RS256", "kid": "fake"}
    return ".".join((_base64(header), _base64(claims), _base64(b"fake")))
