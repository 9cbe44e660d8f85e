"""Values of TOML, and of the job's own small language, that nobody expects."""

from random import Random

ODD = (
    *("0", "-0", "-1", "1", "2", "3", "0.5", "1e-320", "1e-12", "1e300", "1e400", "-1e400"),
    *("nan", "-nan", "inf", "-inf", "0x7fffffffffffffff", "9223372036854775808", "9" * 5000),
    *("true", "false", '""', '"x"', "''", "[]", "{}", "[[]]", "[1, 'a', {}]", "1979-05-27"),
    *("1979-05-27T07:32:00Z", "07:32:00", '"\\u0000"', '"\\U0010ffff"', '"\x7f"', '"../../x"'),
    *('"lr"', '"3/lr"', '"10/lr"', '"0/lr"', '"0*lr"', '"1..5/lr"', '"lr/3"', '"-3/lr"'),
    *('"9e9/lr"', '"' + "9" * 400 + '/lr"', '"' + "9" * 400 + '*lr"', '"\uff12/lr"', '" lr "'),
    *('"workers"', '"evil:make"', '"os:system"', '"evil"', '":"', '"a.b:c.d"', '"{seed}{0}{"'),
    *("[" * 400, "[" * 400 + "]" * 400, "{a=" * 300 + "1" + "}" * 300, "'''", '"""', "#", "="),
)
SCHEDULES = ("constant", "step", "linear", "polynomial", "exponential", "join", "stairs", "")
_PARAMETERS = (
    *("initial", "increment", "every", "final", "slope", "power", "duration", "factor", "value"),
    *("unit", "pieces", "boundaries", "schedule", "x"),
)


def value(rng: Random, depth: int = 0) -> str:
    """Return a value, seldom one that belongs where it will stand."""
    if depth < 3 and rng.random() < 0.15:
        return "[" + ", ".join(value(rng, depth + 1) for _ in range(rng.randrange(4))) + "]"
    if depth < 3 and rng.random() < 0.15:
        return schedule(rng, depth + 1)
    if rng.random() < 0.3:
        return repr(rng.choice((1, -1)) * rng.lognormvariate(0, 8))
    return rng.choice(ODD)


def schedule(rng: Random, depth: int = 0) -> str:
    """Return an inline table that looks like a schedule."""
    names = rng.sample(_PARAMETERS, rng.randrange(5))
    fields = [f"{name} = {_parameter(rng, name, depth)}" for name in names]
    fields.insert(0, f'schedule = "{rng.choice(SCHEDULES)}"')
    return "{ " + ", ".join(fields) + " }"


def _parameter(rng: Random, name: str, depth: int) -> str:
    if name == "unit":
        return rng.choice(('"gradients"', '"steps"', '"seconds"', '"hours"'))
    if name == "pieces" and depth < 3:
        return f"[{', '.join(schedule(rng, depth + 1) for _ in range(rng.randrange(4)))}]"
    if name == "boundaries":
        return f"[{', '.join(number(rng) for _ in range(rng.randrange(4)))}]"
    return number(rng) if rng.random() < 0.7 else value(rng, depth + 1)


def number(rng: Random) -> str:
    """Return a number that a schedule may well have."""
    return rng.choice(
        ("1", "2", "100", "0.01", "1e-9", "1e6", "4.0", repr(rng.lognormvariate(0, 3)))
    )


def altered(rng: Random, text: str) -> str:
    """Return a text with some of its characters changed."""
    characters = list(text)
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(characters) + 1)
        match rng.randrange(4):
            case 0:
                characters.insert(at, rng.choice("\0\t\n\r\"'\\[]{}=,.#é\U0001f600 019-+eE_/*"))
            case 1:
                del characters[at : at + rng.randrange(1, 9)]
            case 2:
                characters[at:at] = characters[at : at + rng.randrange(1, 60)]
            case _:
                characters[at : at + 1] = chr(rng.randrange(0x20, 0x250))
    return "".join(characters)
