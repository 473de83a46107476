"""Messages (CM-1xx), what is asked for (CM-2xx), and repeats, fields and addresses (CM-6xx)."""

from __future__ import annotations

from migration_sidecar.contract.problem_catalogue.kind import ProblemKind

# fmt: off
MESSAGE = (
    ProblemKind(
        "CM-101", "The body is not JSON", 400, 2,
        when="not JSON, no object, not UTF-8; or another content type, none, or compressed (415): `curl -d` needs "
        "`-H 'content-type: application/json'`",
        next_step="Send one JSON object as UTF-8 with content type application/json."),
    ProblemKind(
        "CM-102", "The event is not a CloudEvent 1.0 with JSON data", 400, 2,
        when="an attribute is missing, `data` is no object, `data_base64`",
        next_step="Publish the request as JSON through Dapr, without rawPayload; Dapr makes the CloudEvent."),
    ProblemKind(
        "CM-103", "The request id cannot be used", 400, 2,
        when="other characters, too long, no text",
        next_step="Use 1 to 64 characters out of A-Z, a-z, 0-9, underscore and hyphen, or leave request_id out."),
    ProblemKind(
        "CM-104", "A value cannot be stored", 400, 2,
        when="NUL, control characters, lone surrogates; in an audit event also a number out of range",
        next_step="Remove NUL, control characters and lone surrogates from the body."),
    ProblemKind(
        "CM-105", "The JSON is not one that every reader understands alike", 400, 2,
        when="a key twice, NaN, Infinity, very long numbers, more than 32 levels",
        next_step="Send each key once, finite numbers of at most 18 digits, and at most 32 levels of nesting."),
    ProblemKind(
        "CM-106", "The body is too large", 413, 2,
        when="above 256 KiB for a request, 64 KiB for an operation, 1 MiB for audit events",
        next_step="Send a smaller body."),
    ProblemKind(
        "CM-107", "The request may come from a web page", 403, 2,
        when="its `Host` is not this machine and not allowed, its `Origin` is another one, `Sec-Fetch-Site` is neither "
        "`none` nor `same-origin`, or one of them is there twice; [who may call](api.md#who-may-call)",
        next_step="Call it as 127.0.0.1, localhost or [::1], from no web page, or allow another host name."),
    ProblemKind(
        "CM-108", "The caller is not proven", 401, 2,
        when="the call is not signed, with an unknown key, for another application, more than a minute ago, or it came "
        "before; its body or address is another than the signed one. At the coordinator also: its token is expired, of "
        "another issuer, for another audience, or otherwise none that is taken. 503 when too many calls came within a "
        "minute, or no key of the issuer could be read. Also an event that does not come from the coordinator's own "
        "sidecar. [security.md](security.md)",
        next_step="Sign each call anew, with a key whose public part is in the folder that CALL_KEYS names. The "
        "command coordinator signs with the key that infra up has made, or with COORDINATOR_KEY_FILE."),
    ProblemKind(
        "CM-109", "The caller may not do this", 403, 2,
        when="its signature or its token is good, and it is not one of those who may: a service takes operations from "
        "those that MIGRATION_CALLERS names, the audit takes from each caller only events of that caller, the "
        "coordinator takes from each operator what fleet.toml allows",
        next_step="Call as somebody who may."),
)
REQUEST = (
    ProblemKind(
        "CM-201", "There is no such service to migrate", 422, 2,
        when="not in the catalog, or it owns no database; renamed (the answer says the name of today) or left (when "
        "and why)",
        next_step="Name services as the catalog does (coordinator fleet shows them), or ask for all."),
    ProblemKind(
        "CM-202", "The list of services cannot be used", 422, 2,
        when="missing, empty, a name twice, more than 200",
        next_step='Give "all", or name between 1 and 200 services, each one once.'),
    ProblemKind(
        "CM-203", "The target cannot be used", 422, 2,
        when="not `head`, `heads`, `BRANCH@head`, `BRANCH@heads` or a full revision id, a target for a service not "
        "named, unknown to this history; by hand also a relative target that leads beyond the history or could mean "
        "several things, and none where `adopt` needs one",
        next_step="Name a full revision id, or head; heads for all of several heads, BRANCH@head for one of them."),
    ProblemKind(
        "CM-204", "The run was not started, because something stands in its way", 422, 2,
        when="pre-flight found obstacles, each named with its own code",
        next_step="Remove what is named, then send a new request; no database was touched."),
    ProblemKind(
        "CM-205", "The target is not applied", 422, 2,
        when="a downgrade to a revision the database is not at or above",
        next_step="Look at the status, and name a revision below the current one."),
    ProblemKind(
        "CM-206", "There is no way back", 403, 2,
        when="a downgrade over a revision whose `downgrade()` is missing or only raises; or one that the endpoint does "
        "not take, because `endpoint_downgrades` is not set or the database is `never_taken_back` "
        "([the setting](environments.md#settings)); nothing was touched",
        next_step="Choose a target above that revision, or restore a backup."),
)
ADDRESS = (
    ProblemKind(
        "CM-601", "This id was used for another body", 409, 2,
        when="the same `request_id` or `operation_id`",
        next_step="Send the new body under a new id; the first one stands."),
    ProblemKind(
        "CM-603", "An input cannot be used", 422, 2,
        when="unknown or wrong field or parameter, unknown route (404), wrong verb (405), something not supported yet; "
        "a fact that an audit event may not hold; an option or a file of a command. [api.md](api.md) has all fields",
        next_step="Correct or remove it; unknown names are refused so that a misspelt one is never ignored."),
    ProblemKind(
        "CM-604", "There is no such run, operation or event", 404, 2,
        when="the detail says so where a request under this id was refused, and why; also a dead letter that is not "
        "kept, or not any more",
        next_step="Check the id: coordinator runs and coordinator audit list show those there are, and coordinator "
        "audit list --type migration.rejected what was refused."),
    ProblemKind(
        "CM-605", "The dead letter cannot be resubmitted", 409, 2,
        when="it became a run already, under another id than the one that is asked for; only its beginning was kept "
        "(above 32 KiB); or what is kept does not bear the coordinator's signature "
        "([dead letters](operating-guide.md#when-an-event-was-refused))",
        next_step="Send what it was to ask for as a new request: coordinator request."),
    ProblemKind(
        "CM-606", "The run cannot do this in its present state", 409, 2,
        when="pause, resume, cancel, retry, approve or reject of a run whose state does not allow it; the answer names "
        "the state and what is possible. [policies.md](policies.md) has the table",
        next_step="Look at the run with coordinator status, and use a verb that its state allows."),
    ProblemKind(
        "CM-607", "The approval does not hold", 409, 2,
        when="the plan is not the one that was looked at, the approver is the requester, or an agent; or the run "
        "waits for no approval",
        next_step="Look at the plan of the run as it is now, and have somebody else than the requester approve it."),
    ProblemKind(
        "CM-608", "The deadline of the request has passed", 409, 2,
        when="a step was not started before the `deadline` of the request; what had started was carried out",
        next_step="Ask again with a later deadline, or retry the run without one."),
)
