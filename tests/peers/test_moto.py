"""Signatures of AWS, checked by moto, which makes them again as AWS would.

``pip install 'moto[server]'`` brings along thirty packages, so it is in none of the groups; without it this is skipped.
"""

import asyncio
import json
from importlib.util import find_spec

import pytest

from airflow_async_rest.core.models import Request
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.signing.sigv4 import SigV4
from airflow_async_rest.core.transport.client import RestClient

# moto reads the environment as it is imported.
pytestmark = [
    pytest.mark.release,
    pytest.mark.skipif(find_spec("moto") is None, reason="needs moto[server], which is in no group"),
]
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
STEPS_BEFORE_IT_CHECKS = "4"


@pytest.fixture(scope="module")
def aws():
    """The server's URL, and a user's key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INITIAL_NO_AUTH_ACTION_COUNT", STEPS_BEFORE_IT_CHECKS)
        import boto3
        from moto.server import ThreadedMotoServer

        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        url = "http://{}:{}".format(*server.get_host_and_port())
        anybody = {"aws_access_key_id": "x", "aws_secret_access_key": "y"}
        iam, s3 = (boto3.client(name, "us-east-1", endpoint_url=url, **anybody) for name in ("iam", "s3"))
        iam.create_user(UserName="ann")
        key = iam.create_access_key(UserName="ann")["AccessKey"]
        iam.put_user_policy(UserName="ann", PolicyName="all", PolicyDocument=json.dumps(EVERYTHING))
        s3.create_bucket(Bucket="parts")
        yield url, key
        server.stop()


DYNAMO = {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"}
FORM = {"content_type": "application/x-www-form-urlencoded", "verbatim": True}
REQUESTS = {
    "a body": ("s3", {}, Request("PUT", "parts/a%20b/c%2Bd.json", "", b'{"a": 1}', "k")),
    "a query": ("s3", {}, Request("GET", "parts", "list-type=2&prefix=a b+/&max-keys=5", None, "k")),
    "headers": ("dynamodb", DYNAMO, Request("POST", "", "", b"{}", "k")),
    "a form": ("iam", {}, Request("POST", "", "", b"Action=ListUsers&Version=2010-05-08", "k", **FORM)),
}


@pytest.mark.parametrize(("service", "headers", "request_"), REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("is_right", [True, False])
def test_a_signature_is_taken_if_it_is_of_the_right_key(aws, service, headers, request_, is_right):
    from botocore.credentials import Credentials

    url, key = aws
    settings = ClientSettings(url, headers=headers)
    secret = key["SecretAccessKey"] if is_right else "another-key"
    auth = SigV4(
        region="us-east-1", service=service, find_credentials=lambda: Credentials(key["AccessKeyId"], secret),
        address=settings.address, headers=headers,
    )  # fmt: skip

    async def send():
        async with RestClient(settings, 1) as client:
            return await client.send(await auth.sign(request_))

    response = asyncio.run(send())
    assert response.status == (200 if is_right else 403), response.text
    assert ("SignatureDoesNotMatch" in response.text) is not is_right
