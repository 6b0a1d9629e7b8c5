"""What the very first start declares: providers from the environment's keys, or the sandbox.

Nothing here overrides what the user's own manifest declares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from admin_cli.provider import provider_secret
from headgate.rules.credentials import Secret
from headgate.rules.names import DEFAULT_TENANT, is_name
from headgate.v1 import resources_pb2

# By the interface, in its order.
KEY_VARIABLES = {
    "OPENAI_API_KEY": "openai",
    "ANTHROPIC_API_KEY": "anthropic",
    "GEMINI_API_KEY": "gemini",
    "GROQ_API_KEY": "groq",
    "CEREBRAS_API_KEY": "cerebras",
    "DEEPINFRA_API_KEY": "deepinfra",
    "MISTRAL_API_KEY": "mistral",
    "XAI_API_KEY": "xai",
    "OPENROUTER_API_KEY": "openrouter",
    "NVIDIA_API_KEY": "nvidia",
}
SANDBOX = "sandbox"
SANDBOX_ROUTE = "chat"
KEY_NAME = "quickstart"

ResourceId = tuple[str, str, str]


@dataclass(slots=True)
class FirstRun:
    resources: list[resources_pb2.Resource] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def environment_keys(environment: Mapping[str, str]) -> dict[str, Secret]:
    """Provider kind → key. A Headgate key in such a variable is refused: it would call itself."""
    return {
        kind: provider_secret(environment[variable], variable)
        for variable, kind in KEY_VARIABLES.items()
        if environment.get(variable, "").strip()
    }


def first_run(keys: Mapping[str, Secret], declared: set[ResourceId]) -> FirstRun:
    """`declared`: (kind, tenant, name) of what the user's manifest brings along."""
    plan = FirstRun()
    names = {name for kind, tenant, name in declared if kind in ("model", "route")}
    callable_models = 0
    for kind, secret in keys.items():
        if ("provider", DEFAULT_TENANT, kind) in declared or ("provider", "*", kind) in declared:
            continue
        provider = resources_pb2.Provider(name=kind, tenant=DEFAULT_TENANT, kind=kind)
        provider.keys.add(value=secret.text)
        plan.resources.append(resources_pb2.Resource(provider=provider))
        count = _add_models(plan, kind, names)
        callable_models += count
        models = (
            f"with {count} models of the catalogue" if count else "whose models the catalogue does not have"
        )
        plan.notes.append(f"provider {kind}: from the environment, {models}")
    if not callable_models and not any(kind == "provider" for kind, _, _ in declared):
        _add_sandbox(plan, names)
    return plan


def model_name(upstream_model: str) -> str | None:
    """`meta-llama/Llama-3.3-70B` as `meta-llama-llama-3.3-70b`; None if it cannot be made a name."""
    name = upstream_model.lower().replace("/", "-").replace(":", "-")
    return name if is_name(name) else None


def _add_models(plan: FirstRun, kind: str, names: set[str]) -> int:
    from headgate.rules.catalogue import catalogue_models

    count = 0
    for entry in catalogue_models(kind):
        name = model_name(entry.upstream_model)
        if name is None or name in names:
            continue
        names.add(name)
        model = resources_pb2.Model(name=name, tenant=DEFAULT_TENANT, provider=kind)
        if name != entry.upstream_model:
            model.upstream_model = entry.upstream_model
        plan.resources.append(resources_pb2.Resource(model=model))
        count += 1
    return count


def _add_sandbox(plan: FirstRun, names: set[str]) -> None:
    tenant = DEFAULT_TENANT
    provider = resources_pb2.Provider(name=SANDBOX, tenant=tenant, kind=SANDBOX)
    plan.resources.append(resources_pb2.Resource(provider=provider))
    if SANDBOX not in names:
        model = resources_pb2.Model(name=SANDBOX, tenant=tenant, provider=SANDBOX)
        plan.resources.append(resources_pb2.Resource(model=model))
    if SANDBOX_ROUTE not in names:
        policy = resources_pb2.Route(name=SANDBOX_ROUTE, tenant=tenant)
        policy.policy.model = SANDBOX
        plan.resources.append(resources_pb2.Resource(route=policy))
    why = (
        "nothing else can be called yet"
        if plan.notes
        else "no provider key in the environment (OPENAI_API_KEY …)"
    )
    plan.notes.append(
        f"{why}: the provider 'sandbox' answers, with made-up words. `headgate apply` declares real ones"
    )
