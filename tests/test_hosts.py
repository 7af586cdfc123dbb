"""Azure's hosts, as a table."""

from __future__ import annotations

import pytest

from pytest_azurevm._hosts import host_of, is_served, part_of, part_of_url


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("https://management.azure.com/subscriptions?api-version=2022-12-01", "arm"),
        ("https://westeurope.management.azure.com/subscriptions", "arm"),
        ("https://management.usgovcloudapi.net/", "arm"),
        ("https://management.chinacloudapi.cn", "arm"),
        ("HTTPS://user:secret@Management.Azure.COM.:443/x", "arm"),
        ("https://login.microsoftonline.com/common/oauth2/v2.0/token", "sign-in"),
        ("https://westus.login.microsoft.com/t/oauth2/v2.0/token", "sign-in"),
        ("https://login.microsoftonline.us/t/oauth2/token", "sign-in"),
        ("http://169.254.169.254/metadata/instance?api-version=2021-02-01", "metadata"),
        ("https://graph.microsoft.com/v1.0/me", "other"),
        ("https://shop.blob.core.windows.net/boot/web-1.log", "other"),
        ("https://md-x.z34.blob.storage.azure.net:443/log", "other"),
        ("https://shop.vault.azure.net/secrets/x", "other"),
        ("https://prices.azure.com/api", "other"),
        ("https://shop.scm.azurewebsites.net/api/zipdeploy", "other"),
        ("https://shop.azconfig.io/kv", "other"),
    ],
)
def test_a_url_belongs_to_a_part_of_azure(url, part):
    """What a request is meant for is read from its host, in any spelling."""
    assert part_of_url(url) == part
    assert is_served(url) == (part != "other")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/management.azure.com",
        "https://management.azure.com.example.com/",
        "https://notmanagement-azure.com",
        "https://shop.azurewebsites.net/",
        "http://127.0.0.1:8080/metadata",
        "http://[::1]:8080/",
        "/relative",
        "",
    ],
)
def test_what_is_not_azures_is_nobodys(url):
    """Look-alikes, an application's own site and this machine are none of Azure's."""
    assert part_of_url(url) is None


@pytest.mark.parametrize(
    "host",
    [
        "::ffff:169.254.169.254",
        "[::ffff:a9fe:a9fe]",
        "2852039166",
        "0xA9FEA9FE",
        "0251.0376.0251.0376",
    ],
)
def test_an_address_is_known_in_every_spelling(host):
    """The metadata service is the same address inside IPv6, as one number, or in octal."""
    assert part_of(host) == "metadata"


def test_a_name_is_known_with_the_dots_of_any_script():
    """What a resolver folds into Azure's name is Azure's."""
    assert part_of("management\u3002azure\u3002com") == "arm"
    assert part_of("1.2.3.4") is part_of("fe80::1%eth0") is None


def test_a_host_is_read_without_user_and_port():
    """What stands around a host in a URL is no part of it."""
    assert host_of("https://u:p@h.example:8443/a?b#c") == "h.example"
    assert host_of("https://h.example?x=@other") == "h.example"
    assert part_of("") is None
