"""What is done about one call of an experiment: copies to shadows, checks, judges, and a score of each.

Scores go up: numbers, names and enumerated reasons. What was asked, answered and said by judges stays here.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from headgate.policy.experiments import Experiment, Judge, Shadow, Variant, chance
from headgate.policy.nodes import Arm, Node
from headgate.v1 import resources_pb2, usage_pb2
from proxy.call import Call
from proxy.config.model import Step, Target
from proxy.dialects.asked import Asked
from proxy.ids import Ids
from proxy.judging import checks, verdicts
from proxy.judging.aside import Answered, Aside, Errand, NotAnswered
from proxy.judging.background import Job
from proxy.judging.transcript import answer_of, question_of, shown, text_of
from proxy.judging.verdicts import Nonsense, Verdict
from proxy.metrics import Metrics
from proxy.upstream.failure import AttemptFailed
from proxy.upstream.hooks import Hooks
from proxy.usage.record import Recorder
from proxy.usage.spool import SpoolFull

# Compiled checks remembered; those of one snapshot are far fewer.
MAX_COMPILED = 1_000
_UNSCORED = {
    "timeout": usage_pb2.UNSCORED_JUDGE_TIMEOUT,
    "failed": usage_pb2.UNSCORED_JUDGE_FAILED,
    "nonsense": usage_pb2.UNSCORED_NONSENSE,
    "over_budget": usage_pb2.UNSCORED_OVER_BUDGET,
    "no_answer": usage_pb2.UNSCORED_NO_ANSWER,
}


@dataclass(frozen=True, slots=True)
class Heard:
    """A variant's answer to the question, as far as judging needs it."""

    request_id: bytes
    variant: Variant[Target]
    model: str
    # What a judge is shown, and what a check looks at.
    shown: str
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """One call that is judged: by whom, and what was asked."""

    call: Call
    experiment: Experiment[Target]
    judge: Judge[Target]
    question: str

    @property
    def purse(self) -> tuple[str, str, str]:
        return self.call.key.tenant, self.experiment.name, ""


class ArmNode:
    """A variant outside of its experiment's drawing: its policy, with what it changes in the request."""

    def __init__(self, experiment: str, variant: Variant[Target]) -> None:
        self._experiment = experiment
        self._variant = variant
        self.targets = variant.node.targets

    def plan(self, facts: Any) -> list[Step]:
        return [Arm(step, self._experiment, self._variant) for step in self._variant.node.plan(facts)]


class Judging:
    def __init__(self, *, aside: Aside, recorder: Recorder, metrics: Metrics, hooks: Hooks, ids: Ids) -> None:
        self._aside = aside
        self._recorder = recorder
        self._metrics = metrics
        self._hooks = hooks
        self._ids = ids
        self._compiled: dict[bytes, Callable[[str], bool]] = {}

    async def judge(self, job: Job) -> None:
        """Everything about one call; raises nothing that a judge or a model could bring about."""
        call = job.call
        facts = call.facts
        experiment: Experiment[Target] | None = facts.experiment if facts is not None else None
        if facts is None or experiment is None:
            return
        shadows = await self._shadows(call, experiment, experiment.copied_to(facts))
        judge = experiment.judge
        if not facts.judged or judge is None:
            return
        if job.body is None:
            self._write(call, None, usage_pb2.SCORE_SOURCE_JUDGE, unscored="no_answer")
            return
        variant = next((v for v in experiment.variants if v.name == facts.assignments[0].variant), None)
        if variant is None:
            return
        try:
            question = question_of(call.asked)
            mine = _heard(variant, _of_client(job, job.body))
        except ValueError:
            self._metrics.in_background("answer", "unreadable")
            return
        case = Case(call, experiment, judge, question)
        if judge.pairwise:
            await self._pairwise(case, mine, shadows)
        else:
            await asyncio.gather(*(self._pointwise(case, heard) for heard in [mine, *shadows]))

    async def _shadows(
        self, call: Call, experiment: Experiment[Target], shadows: list[Shadow[Target]]
    ) -> list[Heard]:
        purses = [(call.key.tenant, experiment.name, shadow.variant.name) for shadow in shadows]
        answers = await asyncio.gather(
            *(
                self._copy(call, experiment, shadow.variant, purse, shadow.max_picousd)
                for shadow, purse in zip(shadows, purses, strict=True)
            )
        )
        return [heard for heard in answers if heard is not None]

    async def _copy(
        self,
        call: Call,
        experiment: Experiment[Target],
        variant: Variant[Target],
        purse: tuple[str, str, str],
        max_picousd: int | None,
    ) -> Heard | None:
        """Another variant's answer to the same; None: there is none."""
        node: Node[Target] = ArmNode(experiment.name, variant)
        errand = Errand(
            asked=call.asked,
            node=node,
            route=call.route.name,
            variant=variant.name,
            purpose=usage_pb2.PURPOSE_SHADOW,
            purse=purse,
            max_picousd=max_picousd,
        )
        try:
            answered = await self._aside.run(call, errand)
            heard = _heard(variant, answered)
        except (NotAnswered, ValueError) as error:
            outcome = error.outcome if isinstance(error, NotAnswered) else "unreadable"
            self._metrics.in_background("copy", outcome)
            return None
        self._metrics.in_background("copy", "answered")
        return heard

    async def _pairwise(self, case: Case, mine: Heard, shadows: list[Heard]) -> None:
        """The others, each beside the first variant, which all comparisons have in common."""
        call, experiment, judge = case.call, case.experiment, case.judge
        first = experiment.variants[0]
        if not first.weight:
            return  # it was stopped, and with it what all comparisons have in common
        others = list(shadows)
        base: Heard | None = mine
        if mine.variant is not first:
            others.append(mine)
            base = await self._copy(call, experiment, first, case.purse, judge.max_picousd)
        elif (rival := _rival(experiment, call.request_id)) is not None:
            answer = await self._copy(call, experiment, rival, case.purse, judge.max_picousd)
            others += [answer] if answer is not None else []
        if base is None:
            return
        await asyncio.gather(*(self._checks(case, heard) for heard in [base, *others]))
        await asyncio.gather(
            *(
                self._verdict(case, name, heard, partial(self._compared, case, name, node, heard, base), base)
                for heard in others
                for name, node in judge.models
            )
        )

    async def _pointwise(self, case: Case, heard: Heard) -> None:
        await asyncio.gather(
            self._checks(case, heard),
            *(
                self._verdict(case, name, heard, partial(self._graded, case, name, node, heard))
                for name, node in case.judge.models
            ),
        )

    async def _verdict(
        self,
        case: Case,
        name: str,
        heard: Heard,
        ask: Callable[[], Awaitable[Verdict]],
        versus: Heard | None = None,
    ) -> None:
        """Writes what a judge says, or why it says nothing."""
        verdict: Verdict | None = None
        outcome = "scored"
        try:
            verdict = await ask()
        except (NotAnswered, Nonsense) as error:
            outcome = error.outcome if isinstance(error, NotAnswered) else "nonsense"
        self._metrics.in_background("judge", outcome)
        self._write(
            case.call,
            heard,
            usage_pb2.SCORE_SOURCE_JUDGE,
            name=name,
            rubric=case.judge.rubric_name,
            value=verdict.value if verdict is not None else None,
            remark=verdict.remark if verdict is not None else usage_pb2.REMARK_UNSPECIFIED,
            unscored="" if verdict is not None else outcome,
            versus=versus.variant.name if versus is not None else "",
        )

    async def _compared(
        self, case: Case, name: str, node: Node[Target], heard: Heard, base: Heard
    ) -> Verdict:
        """In both orders: what stands first is liked better. Raises NotAnswered, Nonsense."""
        rubric, question = case.judge.rubric, case.question
        there = verdicts.ask_pairwise(name, rubric, question, heard.shown, base.shown)
        back = verdicts.ask_pairwise(name, rubric, question, base.shown, heard.shown)
        first, second = await asyncio.gather(self._ask(case, node, there), self._ask(case, node, back))
        return verdicts.both_orders(verdicts.read_pairwise(first), verdicts.read_pairwise(second))

    async def _graded(self, case: Case, name: str, node: Node[Target], heard: Heard) -> Verdict:
        """Raises NotAnswered, Nonsense."""
        asked = verdicts.ask_pointwise(name, case.judge.rubric, case.question, heard.shown)
        return verdicts.read_pointwise(await self._ask(case, node, asked))

    async def _ask(self, case: Case, node: Node[Target], asked: Asked) -> str:
        """What the judge answers. Raises NotAnswered, Nonsense."""
        call = case.call
        errand = Errand(
            asked=asked,
            node=node,
            route=f"{case.experiment.name}/judge",
            variant=call.assignment.variant if call.assignment is not None else "",
            purpose=usage_pb2.PURPOSE_JUDGE,
            purse=case.purse,
            max_picousd=case.judge.max_picousd,
        )
        answered = await self._aside.run(call, errand)
        try:
            return text_of(answer_of(answered.operation, answered.body, streamed=answered.streamed))
        except ValueError:
            raise Nonsense from None

    async def _checks(self, case: Case, heard: Heard) -> None:
        for check in case.judge.checks:
            if check.WhichOneof("check") == "http":
                value = await self._hook(check.http, case.question, heard.shown)
            else:
                value = float(self._check(check)(heard.text))
            self._metrics.in_background("check", "failed" if value is None else "scored")
            self._write(
                case.call,
                heard,
                usage_pb2.SCORE_SOURCE_CHECK,
                name=checks.name_of(check),
                rubric=case.judge.rubric_name,
                value=value,
                unscored="" if value is not None else "failed",
            )

    async def _hook(self, check: resources_pb2.HttpCheck, question: str, answer: str) -> float | None:
        try:
            found = await self._hooks.post(
                check.url,
                {"question": question, "answer": answer},
                private_network=check.private_network,
                timeout_seconds=check.timeout.ToNanoseconds() / 1e9,
            )
        except AttemptFailed:
            return None
        score = found.get("score")
        if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0 <= score <= 1:
            return None
        return float(score)

    def _check(self, check: resources_pb2.Check) -> Callable[[str], bool]:
        identity = check.SerializeToString(deterministic=True)
        found = self._compiled.get(identity)
        if found is None:
            if len(self._compiled) >= MAX_COMPILED:
                self._compiled.clear()
            found = self._compiled[identity] = checks.compiled(check)
        return found

    def _write(
        self,
        call: Call,
        heard: Heard | None,
        source: usage_pb2.ScoreSource,
        *,
        unscored: str = "",
        **fields: Any,
    ) -> None:
        """`heard` None: the call was not answered. `unscored`: why there is no value; "" there is one."""
        request_id = heard.request_id if heard is not None else call.request_id
        record = usage_pb2.ScoreRecord(
            id=self._ids.new(),
            request_id=request_id,
            tenant=call.key.tenant,
            source=source,
            unscored=_UNSCORED.get(unscored, usage_pb2.UNSCORED_UNSPECIFIED),
            changed=heard is not None and heard.variant.changes,
            model=heard.model if heard is not None else "",
            task=call.facts.task if call.facts is not None else "",
            unit=_unit(call),
            **fields,
        )
        try:
            self._recorder.score(record.SerializeToString())
        except SpoolFull:
            self._metrics.in_background("score", "dropped")  # calls come first


def _unit(call: Call) -> str:
    """Stands for whoever asked, and does not say who it was."""
    facts = call.facts
    said = facts.session or facts.user if facts is not None else ""
    digest = hashlib.blake2b(f"{call.key.tenant}\0{said}".encode("utf-8", "surrogatepass"), digest_size=12)
    return digest.hexdigest() if said else call.request_id.hex()


def _of_client(job: Job, body: bytes) -> Answered:
    call = job.call
    model = call.attempts[-1].target.model
    return Answered(call.request_id, call.asked.operation, body, job.streamed, model)


def _heard(variant: Variant[Target], answered: Answered) -> Heard:
    """Raises ValueError where it cannot be read."""
    answer = answer_of(answered.operation, answered.body, streamed=answered.streamed)
    return Heard(answered.request_id, variant, answered.model, shown(answer), text_of(answer))


def _rival(experiment: Experiment[Target], request_id: bytes) -> Variant[Target] | None:
    """One of the variants but the first, by chance; None: there is no other that clients see."""
    others = [variant for variant in experiment.variants[1:] if variant.weight > 0]
    if not others:
        return None
    return others[int(chance(f"{experiment.name}\0rival\0{request_id.hex()}") * len(others))]
