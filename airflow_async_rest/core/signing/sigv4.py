"""Requests with a signature of AWS (version 4), by botocore: for API Gateway, OpenSearch, Lambda URLs and others."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from airflow_async_rest.core.errors import ConfigurationError, CredentialsError
from airflow_async_rest.core.models import Request, Response
from airflow_async_rest.core.requests.address import Address
from airflow_async_rest.core.requests.headers import find_header
from airflow_async_rest.core.signing.token import describe_skew, skew_of

_UNRESERVED = "-_.~"
_MOST_READ = 4_000
# By so much AWS lets clocks differ; whole seconds are told, and an answer takes its time.
_MOST_SKEW_SECONDS = 240.0
# Words of an answer to a signature of another time: its request has waited, or the clock is wrong.
_NOT_NOW = ("RequestTimeTooSkewed", "RequestExpired", "Signature expired", "Signature not yet current")
# Credentials renew themselves minutes before their end; to look whether they have may ask another server each time.
_LOOK_AGAIN_SECONDS = 30.0
# Words of an answer to credentials that have ended; another signature of the same would change nothing.
_ENDED = ("ExpiredToken", "TokenRefreshRequired", "security token included in the request is expired")
# What has to be signed of the headers that others set: AWS refuses what is not.
_SIGNED_PREFIX = "x-amz-"


class SigV4:
    """Signs requests; an :class:`~airflow_async_rest.core.sending.auth.Auth`.

    :param service: as AWS names it in signatures: ``execute-api``, ``es``, ``aoss``, ``lambda``, ``s3``, ...
    :param find_credentials: finds botocore's credentials; it may block. Called when they are needed, and again where
        they have ended and do not renew themselves.
    :param headers: that all requests have; of these, those of AWS, and ``Host``, are signed.
    :param clock: in seconds, by which credentials are looked at again.
    :raises ConfigurationError: when botocore is not installed.
    """

    def __init__(
        self,
        *,
        region: str,
        service: str,
        find_credentials: Callable[[], Any],
        address: Address,
        headers: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            from botocore import auth  # noqa: PLC0415  (an extra)
        except ImportError:
            raise ConfigurationError(
                "auth_type='aws_sigv4' needs botocore: install airflow-provider-async-rest[aws]."
            ) from None
        # Only S3 takes the path as it stands in the request; all others encode it once more.
        self._signer = auth.S3SigV4Auth if service == "s3" else auth.SigV4Auth
        self._region, self._service, self._address = region, service, address
        self._find = find_credentials
        self._headers = {name: value for name, value in headers.items() if name.lower().startswith(_SIGNED_PREFIX)}
        self._host = find_header("Host", headers) or address.host_header
        self._credentials: Any = None
        self._in_use: Any = None
        self._clock, self._look_again_at = clock, 0.0

    async def sign(self, request: Request) -> Request:
        """Return the request with its signature, and its query as AWS reads it.

        :raises CredentialsError: when there are no credentials.
        """
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415

        frozen = await self._frozen()
        path, _, query = self._address.target(request.path, request.query).partition("?")
        query = canonical_query(query)
        url = f"{self._address.origin}{path}{f'?{query}' if query else ''}"
        body = request.body or b""
        # Some services ask for the hash of the body in a header, and none minds it.
        hashed = {"X-Amz-Content-SHA256": hashlib.sha256(body).hexdigest()}
        made = AWSRequest(
            request.method,
            url,
            headers={"Host": self._host, **self._headers, **hashed, **(request.headers or {})},
            data=body,
        )
        self._signer(frozen, self._service, self._region).add_auth(made)
        del made.headers["Host"]  # all requests have it
        return replace(request, query=query, headers=dict(made.headers.items()))

    async def refused(self, response: Response) -> bool:
        """Find the credentials again, where an answer says that they have ended.

        :return: also True for a signature that is too old: the next one is of now.
        :raises CredentialsError: when the same are found again, or the clock is wrong: all would be refused.
        """
        said = f"{response.headers.get('x-amzn-ErrorType', '')} {response.text[:_MOST_READ]}"
        if any(word in said for word in _NOT_NOW):
            _check_clock(response)
            return True
        if not any(word in said for word in _ENDED):
            return False
        self._credentials = self._in_use = None
        sent = response.request.headers if response.request else None
        frozen = await self._frozen()
        if frozen.access_key in str(sent) and frozen.token == (sent or {}).get("X-Amz-Security-Token"):
            raise CredentialsError(
                "the AWS credentials have ended, and the same are found again: write new ones where they are kept "
                "(aws_conn_id, or the machine's environment and files), or use a role, whose credentials renew "
                "themselves"
            )
        return True

    async def _frozen(self) -> Any:
        """Return credentials for one signature. To find them, and to renew them, may block for long."""
        if self._in_use is None or self._clock() >= self._look_again_at:
            self._in_use = await asyncio.to_thread(self._found)
            self._look_again_at = self._clock() + _LOOK_AGAIN_SECONDS
        return self._in_use

    def _found(self) -> Any:
        try:
            self._credentials = self._credentials or self._find()
            frozen = self._credentials and self._credentials.get_frozen_credentials()
        except (ConfigurationError, CredentialsError):
            raise
        except Exception as error:
            raise CredentialsError(
                f"the AWS credentials cannot be had ({type(error).__name__}): check aws_conn_id, and whether its role "
                "may be assumed"
            ) from error
        if frozen is None:
            raise CredentialsError(
                "there are no AWS credentials: write the id of an Airflow AWS connection as aws_conn_id, or give this "
                "machine a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        return frozen


def _check_clock(response: Response) -> None:
    skew = skew_of(response, datetime.now(UTC))
    if skew is not None and abs(skew) > _MOST_SKEW_SECONDS:
        raise CredentialsError(
            f"AWS does not take the time of this machine, which is in every signature: {describe_skew(skew)}: set its "
            "clock"
        )


def canonical_query(query: str) -> str:
    """Spell a query as it is signed: what is sent in another spelling would be read as another one."""
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    spelled = [(_spelled(name), _spelled(value)) for name, value in pairs]
    return "&".join(f"{name}={value}" for name, value in spelled)


def _spelled(text: str) -> str:
    return quote(unquote_to_bytes(text.replace("+", " ")), safe=_UNRESERVED)
