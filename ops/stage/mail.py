"""The addresses that a stage's notices and alarms are mailed to.

CloudFormation makes a subscription once. SNS takes it away where an address did not confirm it within two days, and
where it has held back the mail: it does so once an address got more than ten messages of a topic within a second.
https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ops.cloudformation import stacks
from ops.target import Target

_PENDING, _DELETED = "PendingConfirmation", "Deleted"
"""Stand in an ARN's place; one that is deleted is listed for some days."""


def addresses(target: Target) -> list[str]:
    """Those that the stage was given."""
    given = stacks.parameter(target, target.names.foundation_stack, "Emails")
    return given.split(",") if given else []


def settle(target: Target, before: Sequence[str]) -> list[str]:
    """Subscribe each address of the stage that has lost a subscription, and end those of the addresses ``before`` that
    are none any more, as far as the stack does not know them. Tells what was done, a line each.
    """
    client, wanted = target.client("sns"), addresses(target)
    lines = []
    for topic, found in _subscriptions(target):
        for address in wanted:
            if address not in found:
                client.subscribe(TopicArn=topic, Protocol="email", Endpoint=address)
                lines.append(f"{_name(topic)}: subscribed {address} again, who has to confirm it")
        for address in set(before) - set(wanted):
            if found.get(address, _PENDING) != _PENDING:  # which nobody can end, and ends by itself
                client.unsubscribe(SubscriptionArn=found[address])
                lines.append(f"{_name(topic)}: unsubscribed {address}")
    return lines


def not_mailed(target: Target) -> list[str]:
    """Which addresses of the stage get no mail, and what is to be done, a line each."""
    lines = []
    for topic, found in _subscriptions(target):
        for address in addresses(target):
            if address not in found:
                lines.append(f"{address} gets nothing of {_name(topic)} any more: run `up`")
            elif found[address] == _PENDING:
                lines.append(f"{address} gets nothing of {_name(topic)} until the link is followed that SNS has mailed")
    return lines


def _subscriptions(target: Target) -> Iterator[tuple[str, dict[str, str]]]:
    """Of each of the topics that stands: address → the ARN of its subscription, or what is in its place."""
    client = target.client("sns")
    for topic in (target.names.notices_topic_arn, target.names.alarms_topic_arn):
        pages = client.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
        try:
            listed = [each for page in pages for each in page["Subscriptions"] if each["Protocol"] == "email"]
        except client.exceptions.NotFoundException:
            continue  # of a stage that an earlier release has deployed, or that somebody took a topic from
        standing = [each for each in listed if each["SubscriptionArn"] != _DELETED]
        yield topic, {each["Endpoint"]: each["SubscriptionArn"] for each in standing}


def _name(topic: str) -> str:
    return topic.rpartition(":")[2]
