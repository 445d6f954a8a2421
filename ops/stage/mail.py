"""The addresses that a stage's notices and alarms are mailed to.

CloudFormation makes a subscription once. SNS takes it away where an address did not confirm it within two days, and
where it has held back the mail: it does so once an address got more than ten messages of a topic within a second.
https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html
"""

from __future__ import annotations

from collections.abc import Iterator

from ops.cloudformation import stacks
from ops.target import Target

_PENDING, _DELETED = "PendingConfirmation", "Deleted"
"""Stand in an ARN's place; one that is deleted is listed for some days."""


def subscribe_again(target: Target) -> list[str]:
    """Subscribe each address of the stage that has lost a subscription; tells which, a line each."""
    lost = [(topic, address) for topic, address, arn in _subscriptions(target) if arn is None]
    for topic, address in lost:
        target.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint=address)
    return [f"{_name(topic)}: subscribed {address} again, who has to confirm it" for topic, address in lost]


def not_mailed(target: Target) -> list[str]:
    """Which addresses of the stage get no mail, and what is to be done, a line each."""
    lines = []
    for topic, address, arn in _subscriptions(target):
        if arn is None:
            lines.append(f"{address} gets nothing of {_name(topic)} any more: run `up`")
        elif arn == _PENDING:
            lines.append(f"{address} gets nothing of {_name(topic)} until the link is followed that SNS has mailed")
    return lines


def _subscriptions(target: Target) -> Iterator[tuple[str, str, str | None]]:
    """Of each topic and address of the stage the subscription's ARN; None where there is none."""
    addresses = stacks.parameter(target, target.names.foundation_stack, "Emails")
    pages = target.client("sns").get_paginator("list_subscriptions_by_topic")
    for topic in (target.names.notices_topic_arn, target.names.alarms_topic_arn) if addresses else ():
        found = {
            each["Endpoint"]: each["SubscriptionArn"]
            for page in pages.paginate(TopicArn=topic)
            for each in page["Subscriptions"]
            if each["SubscriptionArn"] != _DELETED
        }
        for address in (addresses or "").split(","):
            yield topic, address, found.get(address)


def _name(topic: str) -> str:
    return topic.rpartition(":")[2]
