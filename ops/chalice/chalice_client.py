"""Chalice's AWS client with what a Sluice stage adds: tags, throttling of the API, and the emulator's API Gateway."""

from __future__ import annotations

import base64
import hashlib
from time import monotonic, sleep
from typing import Any, Final

from botocore.exceptions import ClientError
from chalice.awsclient import TypedAWSClient

from ops.target import STAGE_TAG

API_RATE_PER_SECOND: Final = 50
API_BURST: Final = 100
"""The status API is for people and dashboards; more than this is a mistake or an attack."""
READY_SECONDS: Final = 300.0
"""How long a function may take to become ready."""
PERMISSION_SECONDS: Final = 60.0
"""How long S3 may take to see that it may invoke a function."""
_NOT_SEEN_YET: Final = "Unable to validate the following destination configurations"


class StageClient(TypedAWSClient):
    """Tags what Chalice leaves untagged (roles, the API, rules), so that a stage can be found whole."""

    POLL_SECONDS = 1.0
    """How often a new or changed function is asked whether it is ready; botocore's waiters ask every 5 s."""

    def __init__(self, session: Any, stage: str) -> None:
        super().__init__(session)
        self._stage = stage

    def _wait_for_active(self, function_name: str) -> None:
        """Chalice goes on with calls that Lambda refuses on a function that is Pending or being updated (its
        concurrency, its permissions): so each function is waited for at once.
        https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
        """
        self._wait_for("function_active_v2", function_name)
        self._wait_for("function_updated_v2", function_name)

    def _wait_for_function_update(self, function_name: str) -> None:
        self._wait_for("function_updated_v2", function_name)

    def _update_function_code(
        self, function_name: str, zip_contents: Any, architecture: str | None = None
    ) -> dict[str, Any]:
        """Chalice always uploads the code; here only code that differs, so a changed setting is changed at once."""
        current: dict[str, Any] = self.get_function_configuration(function_name)
        if current.get("State") == "Pending" or current.get("LastUpdateStatus") == "InProgress":
            self._wait_for_active(function_name)  # an attempt that was interrupted left it so
        digest = base64.b64encode(hashlib.sha256(zip_contents).digest()).decode()
        if current["CodeSha256"] == digest and architecture in (None, *current.get("Architectures", [])):
            return current
        updated: dict[str, Any] = super()._update_function_code(function_name, zip_contents, architecture)
        self._wait_for("function_updated_v2", function_name)
        return updated

    def _wait_for(self, state: str, function_name: str) -> None:
        attempts = int(READY_SECONDS / self.POLL_SECONDS)
        self._client("lambda").get_waiter(state).wait(
            FunctionName=function_name, WaiterConfig={"Delay": self.POLL_SECONDS, "MaxAttempts": attempts}
        )

    def create_role(self, name: str, trust_policy: dict[str, Any], policy: dict[str, Any]) -> str:
        arn: str = super().create_role(name, trust_policy, policy)
        self._client("iam").tag_role(RoleName=name, Tags=[{"Key": STAGE_TAG, "Value": self._stage}])
        return arn

    def get_or_create_rule_arn(self, rule_name: str, *args: Any, **kwargs: Any) -> str:
        arn: str = super().get_or_create_rule_arn(rule_name, *args, **kwargs)
        self._client("events").tag_resource(ResourceARN=arn, Tags=[{"Key": STAGE_TAG, "Value": self._stage}])
        return arn

    def connect_s3_bucket_to_lambda(self, *args: Any, **kwargs: Any) -> None:
        """S3 asks whether it may invoke the function, and may not see yet what Chalice has allowed it a moment ago."""
        deadline = monotonic() + PERMISSION_SECONDS
        while True:
            try:
                super().connect_s3_bucket_to_lambda(*args, **kwargs)
                return
            except ClientError as error:
                if _NOT_SEEN_YET not in error.response["Error"].get("Message", "") or monotonic() > deadline:
                    raise
            sleep(self.POLL_SECONDS)

    def import_rest_api(self, swagger_document: dict[str, Any], endpoint_type: str) -> str:
        api: str = super().import_rest_api(swagger_document, endpoint_type)
        self._tag_api(api)
        return api

    def deploy_rest_api(self, rest_api_id: str, api_gateway_stage: str, xray: bool) -> None:
        super().deploy_rest_api(rest_api_id, api_gateway_stage, xray)
        self._client("apigateway").update_stage(
            restApiId=rest_api_id,
            stageName=api_gateway_stage,
            patchOperations=[
                {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": str(API_RATE_PER_SECOND)},
                {"op": "replace", "path": "/*/*/throttling/burstLimit", "value": str(API_BURST)},
            ],
        )

    def _tag_api(self, api: str) -> None:
        arn = f"arn:{self.partition_name}:apigateway:{self.region_name}::/restapis/{api}"
        self._client("apigateway").tag_resource(resourceArn=arn, tags={STAGE_TAG: self._stage})


class EmulatedStageClient(StageClient):
    """The emulator's ImportRestApi and PutRestApi ignore the document, so the API would have no routes: the document is
    replayed call by call. Nothing there needs time to settle, so nothing waits.
    """

    DELAY_TIME = 0
    POLL_SECONDS = 0.02

    def import_rest_api(self, swagger_document: dict[str, Any], endpoint_type: str) -> str:
        api: str = self._client("apigateway").create_rest_api(
            name=swagger_document["info"]["title"],
            endpointConfiguration={"types": [endpoint_type]},
            tags={STAGE_TAG: self._stage},
        )["id"]
        self._replay(api, swagger_document)
        return api

    def update_api_from_swagger(self, rest_api_id: str, swagger_document: dict[str, Any]) -> None:
        gateway = self._client("apigateway")
        for resource in gateway.get_resources(restApiId=rest_api_id, limit=500)["items"]:
            if resource["path"].count("/") == 1 and resource["path"] != "/":
                gateway.delete_resource(restApiId=rest_api_id, resourceId=resource["id"])  # with all below it
        for authorizer in gateway.get_authorizers(restApiId=rest_api_id)["items"]:
            gateway.delete_authorizer(restApiId=rest_api_id, authorizerId=authorizer["id"])
        root = self._root(rest_api_id)
        for method in root.get("resourceMethods", {}):
            gateway.delete_method(restApiId=rest_api_id, resourceId=root["id"], httpMethod=method)
        self._replay(rest_api_id, swagger_document)

    def _root(self, api: str) -> dict[str, Any]:
        resources = self._client("apigateway").get_resources(restApiId=api, limit=500)["items"]
        return next(resource for resource in resources if resource["path"] == "/")

    def _replay(self, api: str, document: dict[str, Any]) -> None:
        gateway = self._client("apigateway")
        authorizers = {
            name: gateway.create_authorizer(
                restApiId=api,
                name=name,
                type="TOKEN",
                authorizerUri=definition["x-amazon-apigateway-authorizer"]["authorizerUri"],
                identitySource=f"method.request.header.{definition['name']}",
                authorizerResultTtlInSeconds=definition["x-amazon-apigateway-authorizer"].get(
                    "authorizerResultTtlInSeconds", 300
                ),
            )["id"]
            for name, definition in document.get("securityDefinitions", {}).items()
        }
        known = {"": self._root(api)["id"]}
        for path, methods in document["paths"].items():
            resource = self._resource(api, path.rstrip("/"), known)
            for method, operation in methods.items():
                self._method(api, resource, method.upper(), operation, authorizers)

    def _resource(self, api: str, path: str, known: dict[str, str]) -> str:
        if path not in known:
            parent, _, part = path.rpartition("/")
            known[path] = self._client("apigateway").create_resource(
                restApiId=api, parentId=self._resource(api, parent, known), pathPart=part
            )["id"]
        return known[path]

    def _method(
        self, api: str, resource: str, method: str, operation: dict[str, Any], authorizers: dict[str, str]
    ) -> None:
        gateway = self._client("apigateway")
        needed = [name for alternative in operation.get("security", []) for name in alternative]
        access: dict[str, Any] = {"authorizationType": "NONE"}
        if needed:
            access = {"authorizationType": "CUSTOM", "authorizerId": authorizers[needed[0]]}
        integration = operation["x-amazon-apigateway-integration"]
        gateway.put_method(restApiId=api, resourceId=resource, httpMethod=method, **access)
        gateway.put_integration(
            restApiId=api,
            resourceId=resource,
            httpMethod=method,
            type=integration["type"].upper(),
            **({"integrationHttpMethod": "POST", "uri": integration["uri"]} if "uri" in integration else {}),
        )
