"""Fifty invented models at twelve invented providers: prices, quality, speed, as catalogues have them.

Dear models are better and slower, with much noise in both: that is what makes choosing worth while. Prices
go through the same integers as real ones. `Model` knows the truth; a policy sees its `target` alone.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from decimal import Decimal

from headgate.rules.money import Price, atto_per_token
from proxy.config.model import Provider, SandboxSettings, Target
from proxy.providers.kinds import KINDS
from proxy.upstream.reach import Reach
from tests.perf.simulation.tasks import NAMES

MODELS = 50
PROVIDERS = 12
LOWEST_USD, HIGHEST_USD = 0.03, 15.0
WINDOWS = (8_192, 32_768, 128_000, 200_000, 1_000_000)
REGIONS = ("us-west", "us-east", "eu", "india", "japan")
# Seconds that a provider's distance adds to the first token, by homes in the order of REGIONS.
_DISTANCE = (
    (0.02, 0.07, 0.15, 0.23, 0.11),
    (0.07, 0.02, 0.09, 0.20, 0.16),
    (0.15, 0.09, 0.02, 0.13, 0.23),
    (0.23, 0.20, 0.13, 0.02, 0.13),
    (0.11, 0.16, 0.23, 0.13, 0.02),
)
_NO_SANDBOX = SandboxSettings(0.0, 0.0, 0.0, 503, 0)
_TOKENS_OF_QUALITY = 100


@dataclass(frozen=True, slots=True)
class Model:
    """`verbosity`: tokens of its answers, by task in the order of NAMES, as a multiple of the usual."""

    target: Target
    input_usd: float
    output_usd: float
    quality: tuple[float, ...]
    first_seconds: tuple[float, ...]
    tokens_per_second: tuple[float, ...]
    verbosity: tuple[float, ...]
    caches: bool
    provider: int

    @property
    def name(self) -> str:
        return self.target.model

    @property
    def blended_usd(self) -> float:
        """Per million tokens at three of input to one of output: how price lists are compared."""
        return (3 * self.input_usd + self.output_usd) / 4


def models(seed: int) -> list[Model]:
    """The same for every run with this seed; names tell price and provider: `p03-m17`."""
    chance = random.Random(f"market {seed}")
    providers = [_provider(number) for number in range(PROVIDERS)]
    # Homes, pace (what a provider's machines do with the same model) and mark-up.
    homes = [chance.choice((0, 0, 1, 1, 2, 4)) for _ in providers]
    paces = [chance.choice((0.7, 1.0, 1.0, 1.0, 1.4, 3.0)) for _ in providers]
    found = []
    for number in range(MODELS):
        at = number % PROVIDERS if number < PROVIDERS else chance.randrange(PROVIDERS)
        found.append(_model(chance, number, at, providers[at], homes[at], paces[at]))
    return found


def _provider(number: int) -> Provider:
    return Provider(
        name=f"p{number:02}",
        tenant="default",
        kind=KINDS["openai"],
        base_url="https://provider.example/v1",
        region="",
        reach=Reach(),
        headers=(),
        keys=(),
        sandbox=_NO_SANDBOX,
        disabled=False,
    )


def _model(chance: random.Random, number: int, at: int, provider: Provider, home: int, pace: float) -> Model:
    # Size decides price, quality and speed, each with noise of its own.
    size = (number + chance.random()) / MODELS
    spread = math.log(HIGHEST_USD / LOWEST_USD)
    input_usd = LOWEST_USD * math.exp(spread * min(1.0, max(0.0, size + chance.gauss(0, 0.08))))
    input_usd = float(f"{input_usd:.2g}")
    output_usd = float(f"{input_usd * chance.uniform(2, 5):.2g}")
    caches = chance.random() < 0.6
    cached_usd = input_usd * chance.choice((0.1, 0.25, 0.5)) if caches else input_usd
    good = 0.5 + 0.42 * size**0.7 + chance.gauss(0, 0.04)
    quality = tuple(
        min(0.98, max(0.2, math.floor((good + chance.gauss(0, 0.03)) * _TOKENS_OF_QUALITY) / 100))
        for _ in NAMES
    )
    first = (0.12 + 0.5 * size) * math.exp(chance.gauss(0, 0.3)) / pace**0.5
    speed = 160 * math.exp(-1.3 * size + chance.gauss(0, 0.25)) * pace
    far = _DISTANCE[home]
    capabilities = {name for name, share in (("tools", 0.85), ("vision", 0.5)) if chance.random() < share}
    window = WINDOWS[min(4, int(size * 4 + chance.random() * 2))]
    name = f"p{at:02}-m{number:02}"
    target = Target(
        name,
        provider,
        name,
        (_price(input_usd, output_usd, cached_usd),),
        "",
        0,
        disabled=False,
        capabilities=frozenset(capabilities),
        context_window=window,
        quality=(*zip(NAMES, quality, strict=True),),
    )
    return Model(
        target=target,
        input_usd=input_usd,
        output_usd=output_usd,
        quality=quality,
        # Two round trips to the first token; a far provider has fewer machines for you, too.
        first_seconds=tuple(first + 2 * seconds for seconds in far),
        tokens_per_second=tuple(speed / (1 + seconds) for seconds in far),
        verbosity=tuple(math.exp(chance.gauss(0, 0.35)) for _ in NAMES),
        caches=caches,
        provider=at,
    )


def _price(input_usd: float, output_usd: float, cached_usd: float) -> Price:
    paid, out, cached = (atto_per_token(Decimal(f"{usd:.4g}")) for usd in (input_usd, output_usd, cached_usd))
    return Price(
        input=paid,
        output=out,
        cache_read=cached,
        cache_write_5m=paid,
        cache_write_1h=paid,
        audio_input=paid,
        audio_output=out,
    )
