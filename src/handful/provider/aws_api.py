"""AWS's interface to machines (EC2): how is it asked, and what does it mean when it refuses?"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from handful.errors import MachineError
from handful.provider.cloud import STACK, Seen, until

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

CONFIG = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 3})
READY_SECONDS, GONE_SECONDS = 600.0, 120.0
# The same request within this time is the same machine; see `once`.
ONCE_SECONDS = 600
NO_KEYS = (
    CredentialRetrievalError, NoCredentialsError, PartialCredentialsError, ProfileNotFound, SSOError,
    TokenRetrievalError,
)
NO_RIGHT = frozenset({"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"})
# What hangs on another thing, which may be on its way out.
IN_USE = frozenset({"DependencyViolation", "InvalidIPAddress.InUse", "VolumeInUse"})
WRONG_KEYS = "The keys are wrong, or were deleted; or the region must be enabled in the account first."
EXPIRED = "Keys that hold for a time have run out (aws sso login), or this computer's clock is wrong."
KEPT = "What was made is kept. Mend it, then: handful machines apply"
LIMIT = "A limit of the account is reached. What was made is kept: ask for more in the console, under Service Quotas."
# Its codes for errors (AWS's "Error codes for the Amazon EC2 API") → what to do.
ADVICE = MappingProxyType({
    "AuthFailure": WRONG_KEYS, "InvalidClientTokenId": WRONG_KEYS, "SignatureDoesNotMatch": WRONG_KEYS,
    "UnrecognizedClientException": WRONG_KEYS,
    "RequestExpired": EXPIRED, "ExpiredToken": EXPIRED, "ExpiredTokenException": EXPIRED,
    "OptInRequired": "The account may not use EC2 yet: finish signing up in the console.",
    "PendingVerification": "AWS still looks at the account, or the region of it: try again when its mail has come.",
    "RequestLimitExceeded": "Too many requests: try again later. What was made is kept.",
    "InsufficientInstanceCapacity": "AWS has none of this size free in that zone: try later, or another size.",
    "Unsupported": "That size is not to be had in the zone of the stack's subnet: take another.",
    "InvalidKeyPair.Duplicate": "A key pair of this name is there without the stack's label: delete it in the console.",
    "InvalidKey.Format": "EC2 takes ed25519 and rsa keys only.",
    "InvalidIPAddress.InUse": "Another machine has this private address: write another, or leave it out.",
    "OperationNotPermitted": "Somebody protects it from being removed or stopped: lift that in the console.",
    "VolumeModificationRateExceeded": "AWS lets a volume grow once in six hours: try again later.",
    "DependencyViolation": "Something that is not handful's is in the stack's network: look at the console.",
})  # fmt: skip



class Api:
    """Requests for one stack, in one region. All of them raise MachineError, with a sentence."""

    def __init__(self, stack: str, region: str, endpoint: str | None, poll_seconds: float) -> None:
        """Nothing is asked yet; `poll_seconds` is between two looks at what takes its time."""
        self.stack, self._region, self._poll = stack, region, poll_seconds
        with self._told():
            self._session = Session(region_name=region)
            self.client: Any = self._session.client("ec2", endpoint_url=endpoint, config=CONFIG)

    def call(self, operation: str, *, past: Collection[str] = (), **told: object) -> dict[str, Any]:
        """Return the answer; {} when it is an error whose code is in `past`: somebody has done it already."""
        with self._told():
            try:
                answer: dict[str, Any] = getattr(self.client, operation)(**told)
            except ClientError as refused:
                if _code(refused) in past:
                    return {}
                raise
        return answer

    def every(self, operation: str, key: str, **told: object) -> list[dict[str, Any]]:
        """Return all entries of a list, of all its pages; a few of AWS's lists have only one."""
        with self._told():
            if not self.client.can_paginate(operation):
                return list(getattr(self.client, operation)(**told)[key])
            return [each for page in self.client.get_paginator(operation).paginate(**told) for each in page[key]]

    def mine(
        self, operation: str, key: str, filters: Mapping[str, list[str]] = MappingProxyType({}), **told: object
    ) -> list[dict[str, Any]]:
        """Return those entries of a list that are labelled as the stack's."""
        every = {f"tag:{STACK}": [self.stack], **filters}
        asked = [{"Name": name, "Values": values} for name, values in every.items()]
        return self.every(operation, key, Filters=asked, **told)

    def labels(self, *kinds: str, name: str = "", **labels: str) -> list[dict[str, Any]]:
        """Return what a create call is told, so that nothing is ever without its labels; `name` is for people."""
        every = {STACK: self.stack, "Name": name or self.stack, **labels}
        tags = [{"Key": key, "Value": value} for key, value in every.items()]
        return [{"ResourceType": kind, "Tags": tags} for kind in kinds]

    def remove(self, operation: str, **told: object) -> None:
        """Have something removed. What is gone already is no error; what is in use still is asked for again."""
        deadline = time.monotonic() + GONE_SECONDS
        with self._told():
            while True:
                try:
                    getattr(self.client, operation)(**told)
                except ClientError as refused:
                    if _code(refused).endswith(".NotFound") or _code(refused) == "Gateway.NotAttached":
                        return
                    if _code(refused) not in IN_USE or time.monotonic() > deadline:
                        raise
                else:
                    return
                time.sleep(self._poll)

    def until(self, ready: Callable[[], Seen | None], late: str, seconds: float = READY_SECONDS) -> Seen:
        """As cloud.until, at AWS."""
        return until(ready, f"AWS: {late}", seconds, self._poll)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what goes wrong into sentences."""
        try:
            yield
        except ClientError as refused:
            raise _refusal(refused) from refused
        except NO_KEYS as missing:
            advice = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; or: aws configure, aws sso login"
            message = "there are no keys for AWS, or they cannot be read"
            raise MachineError(message, detail=str(missing), advice=advice) from missing
        except (BotoCoreError, ResponseParserError, ValueError) as wrong:
            # Each region has an address of its own: where there is no region, nobody is there to be asked.
            there = self._regions()
            if self._region not in there:
                raise MachineError(f"AWS has no region {self._region}", advice=f"It has: {', '.join(there)}") from wrong
            message, advice = "AWS's API does not answer as it should", "What was made is kept: try again."
            raise MachineError(message, detail=str(wrong)[:500], advice=advice) from wrong

    def _regions(self) -> list[str]:
        session = Session(region_name=self._region)
        parts = session.get_available_partitions()
        return [region for part in parts for region in session.get_available_regions("ec2", partition_name=part)]


def once(told: Mapping[str, Any], *more: str) -> str:
    """Return the ClientToken of a request: AWS does a thing once that is asked for twice with the same one.

    It closes the moments in which what was just made is not seen yet. AWS keeps a token for a day or longer, also when
    what was made is gone: so it holds for some minutes only, and `more` are those of the name that were there before
    and are gone, which AWS shows for about an hour.
    """
    text = json.dumps([told, sorted(more), int(time.time() // ONCE_SECONDS)], sort_keys=True)
    return sha256(text.encode()).hexdigest()


def tags(told: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels of something."""
    return {each["Key"]: each["Value"] for each in told.get("Tags") or ()}


def _code(refused: ClientError) -> str:
    return str(refused.response.get("Error", {}).get("Code", ""))


def _refusal(refused: ClientError) -> MachineError:
    code, operation = _code(refused), refused.operation_name
    detail = str(refused.response.get("Error", {}).get("Message", ""))[:500]
    if code in NO_RIGHT:
        message = f"AWS refuses {operation}: the keys lack the right ec2:{operation}"
        if operation.startswith(("Allocate", "Create", "Import", "Run")):
            message += ", or ec2:CreateTags"
        return MachineError(message, detail=detail, advice="docs/guide/aws-policy.json has all rights that are needed.")
    advice = ADVICE.get(code, LIMIT if code.endswith(("LimitExceeded", "CountExceeded")) else KEPT)
    return MachineError(f"AWS refuses {operation} ({code})", detail=detail, advice=advice)
