"""Signing in: as data, and as azure-identity and msal ask."""

from __future__ import annotations

import asyncio
import base64
import json

import azure.identity
import azure.identity.aio
import msal
import pytest
from freezegun import freeze_time

from pytest_azurevm import AzureOutOfReach, FakeCompute
from pytest_azurevm._http import Request
from pytest_azurevm._identity import Identity

ARM = "https://management.azure.com/.default"
TENANT = "11111111-2222-4333-8444-555555555555"
LOGIN = "https://login.microsoftonline.com"
IMDS = "http://169.254.169.254/metadata"


@pytest.fixture
def identity():
    """The endpoints alone."""
    return Identity(tenant_id=TENANT, subscription_id="sub", location="northeurope")


def claims(token: str) -> dict:
    """Read what a token says, without verifying it."""
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def get(identity, url, **headers):
    """Ask with GET, and give status and JSON."""
    answer = identity.handle(Request("GET", url, headers))
    return answer.status, json.loads(answer.body)


def post(identity, url, form: str):
    """Ask with POST, and give status and JSON."""
    answer = identity.handle(Request("POST", url, {}, form.encode()))
    return answer.status, json.loads(answer.body)


# --- as data -----------------------------------------------------------------------------------


@freeze_time("2026-03-03T03:03:03Z")
def test_an_application_gets_a_token_that_says_who_and_for_what(identity):
    """A token carries tenant, application, audience and an hour of life by the process' clock."""
    form = f"grant_type=client_credentials&client_id=app&client_secret=x&scope={ARM}"
    status, body = post(identity, f"{LOGIN}/{TENANT}/oauth2/v2.0/token", form)
    said = claims(body["access_token"])

    assert (status, body["token_type"], body["expires_in"]) == (200, "Bearer", 3599)
    assert (said["tid"], said["appid"], said["idtyp"]) == (TENANT, "app", "app")
    assert said["aud"] == "https://management.azure.com"
    assert said["exp"] - said["iat"] == 3599
    assert said["iat"] == 1772506983


def test_the_older_endpoint_writes_numbers_as_text(identity):
    """Who names a resource, not a scope, gets the older answer."""
    form = "grant_type=client_credentials&client_id=a&resource=https://management.core.windows.net/"
    _, body = post(identity, f"{LOGIN}/contoso.com/oauth2/token", form)

    assert body["expires_in"] == "3599"
    assert int(body["expires_on"]) > int(body["not_before"])
    assert body["resource"] == "https://management.core.windows.net/"
    assert claims(body["access_token"])["tid"] == TENANT


def test_a_person_gets_a_refresh_token_too(identity):
    """On behalf of a person a token comes with who that is, and with the means to get another."""
    form = f"grant_type=password&client_id=app&username=eve@contoso.com&password=x&scope={ARM}"
    _, body = post(identity, f"{LOGIN}/organizations/oauth2/v2.0/token", form)

    assert body["refresh_token"]
    assert claims(body["id_token"])["preferred_username"] == "eve@contoso.com"
    assert claims(body["access_token"])["idtyp"] == "user"


def test_a_request_for_a_token_needs_a_grant(identity):
    """Who does not say how to sign in is told so, as Entra ID tells."""
    status, body = post(identity, f"{LOGIN}/{TENANT}/oauth2/v2.0/token", "client_id=app")

    assert (status, body["error"]) == (400, "invalid_request")
    assert "AADSTS900144" in body["error_description"]


@pytest.mark.parametrize("host", ["login.microsoftonline.us", "login.chinacloudapi.cn"])
def test_every_cloud_points_at_its_own_endpoints(identity, host):
    """The configuration of a national cloud's endpoint stays in that cloud."""
    _, body = get(identity, f"https://{host}/{TENANT}/v2.0/.well-known/openid-configuration")

    assert body["token_endpoint"] == f"https://{host}/{TENANT}/oauth2/v2.0/token"


def test_the_metadata_service_wants_its_header(identity):
    """Without its header the metadata service refuses: by that, credentials know it is there."""
    url = f"{IMDS}/identity/oauth2/token?api-version=2018-02-01&resource=x"

    assert get(identity, url)[0] == 400
    assert get(identity, url, Metadata="true")[0] == 200


def test_a_managed_identity_lives_for_a_day(identity):
    """The metadata service's token names its resource and lives for a day."""
    url = f"{IMDS}/identity/oauth2/token?api-version=2018-02-01&resource=https://vault.azure.net"
    _, body = get(identity, f"{url}&client_id=mine", metadata="True")

    assert (body["resource"], body["client_id"]) == ("https://vault.azure.net", "mine")
    assert int(body["expires_in"]) == 86399
    assert claims(body["access_token"])["aud"] == "https://vault.azure.net"


def test_a_managed_identity_is_of_some_resource(identity):
    """Who names no resource is refused."""
    url = f"{IMDS}/identity/oauth2/token?api-version=2018-02-01"

    assert get(identity, url, Metadata="true")[0] == 400


def test_the_metadata_service_tells_the_region(identity):
    """Region, cloud and subscription can be read, whole or by themselves."""
    query = "api-version=2021-02-01"
    text = identity.handle(
        Request(
            "GET",
            f"{IMDS}/instance/compute/location?{query}&format=text",
            {"Metadata": "true"},
        )
    )

    assert text.body == b"northeurope"
    _, body = get(identity, f"{IMDS}/instance?{query}", Metadata="true")
    assert body["compute"]["subscriptionId"] == "sub"


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", f"{LOGIN}/{TENANT}/oauth2/v2.0/authorize"),
        ("GET", f"{LOGIN}/"),
        ("GET", f"{IMDS}/scheduledevents?api-version=2020-07-01"),
        ("GET", f"{IMDS}/instance/network?api-version=2021-02-01"),
    ],
)
def test_what_is_not_served_says_so(identity, method, url):
    """A request for anything else names itself and is not sent."""
    with pytest.raises(AzureOutOfReach, match="was not sent: pytest-azurevm serves tokens"):
        identity.handle(Request(method, url, {"Metadata": "true"}))


# --- as credentials ask ------------------------------------------------------------------------


def credentials(identity):
    """Every credential that needs no more than Azure, of one of azure-identity's two packages."""
    return {
        "default": identity.DefaultAzureCredential(),
        "managed": identity.ManagedIdentityCredential(),
        "managed by id": identity.ManagedIdentityCredential(client_id="mine"),
        "secret": identity.ClientSecretCredential(TENANT, "app", "secret"),
        "secret by name": identity.ClientSecretCredential("contoso.com", "app", "secret"),
        "on behalf": identity.OnBehalfOfCredential(
            TENANT, "app", client_secret="secret", user_assertion="a.b.c"
        ),
        "assertion": identity.ClientAssertionCredential(TENANT, "app", lambda: "a.b.c"),
    }


@pytest.mark.parametrize("name", credentials(azure.identity))
def test_a_credential_gets_its_token(fake, name):
    """Every credential of azure-identity that asks Azure alone gets a token, and again later."""
    credential = credentials(azure.identity)[name]

    said = claims(credential.get_token(ARM).token)
    assert said["aud"].startswith("https://management.azure.com")
    assert said["tid"] in (TENANT, fake.tenant_id)
    assert credential.get_token(ARM).token


@pytest.mark.parametrize("name", credentials(azure.identity))
def test_a_credential_gets_its_token_in_a_task(fake, name):
    """So does its twin for event loops."""

    async def ask() -> str:
        async with credentials(azure.identity.aio)[name] as credential:
            return (await credential.get_token(ARM)).token

    assert claims(asyncio.run(ask()))["tid"] in (TENANT, fake.tenant_id)


def test_a_device_code_needs_nobody_to_enter_it(fake):
    """The device code flow signs in at once."""
    told = []
    credential = azure.identity.DeviceCodeCredential(
        tenant_id=TENANT, prompt_callback=lambda *what: told.append(what)
    )

    assert claims(credential.get_token(ARM).token)["idtyp"] == "user"
    assert told[0][1] == "FAKE12345"


@pytest.mark.filterwarnings("ignore:This API has been deprecated:DeprecationWarning")
def test_msal_by_itself_signs_in_through_requests(fake):
    """What asks msal directly, whose traffic is plain requests, gets tokens too."""
    app = msal.ConfidentialClientApplication(
        "app", client_credential="x", authority=f"https://login.microsoftonline.com/{TENANT}"
    )
    person = msal.PublicClientApplication("app", authority=f"{LOGIN}/{TENANT}")

    assert claims(app.acquire_token_for_client([ARM])["access_token"])["tid"] == TENANT
    found = person.acquire_token_by_username_password("eve@contoso.com", "x", [ARM])
    assert found["id_token_claims"]["upn"] == "eve@contoso.com"


def test_an_authority_that_msal_does_not_know_is_looked_up(fake):
    """An authority outside msal's own list is asked for at the known one."""
    app = msal.ConfidentialClientApplication(
        "app", client_credential="x", authority=f"https://westus.login.windows.net/{TENANT}"
    )

    assert app.acquire_token_for_client([ARM])["access_token"]


def test_a_region_is_discovered(fake):
    """A program that lets msal find its region finds the fake's."""
    app = msal.ConfidentialClientApplication(
        "app",
        client_credential="x",
        authority=f"{LOGIN}/{TENANT}",
        azure_region=msal.ConfidentialClientApplication.ATTEMPT_REGION_DISCOVERY,
    )

    assert app.acquire_token_for_client([ARM])["access_token"]


def test_signing_in_is_no_call_to_arm(fake):
    """What credentials ask does not count among the fake's calls, and takes no time."""
    before = fake.clock.now
    azure.identity.DefaultAzureCredential().get_token(ARM)

    assert list(fake.calls) == []
    assert fake.clock.now == before


def test_a_token_outlives_its_fake_without_being_asked_for(identity):
    """A credential that was built before the fake works in it, and in the next one."""
    credential = azure.identity.ManagedIdentityCredential()
    for _ in range(2):
        with FakeCompute():
            assert credential.get_token(ARM).token
