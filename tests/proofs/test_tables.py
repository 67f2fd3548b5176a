"""The tables beside this file are true of this tree."""

import re

from catalogue import proofs, source, table, unknown

known = proofs()


def struct_fields(path, name):
    """Names of a struct's members, by its text: enough for structs of plain members."""
    text = (source / path).read_text()
    body = re.search(rf"struct {name} {{(.*?)\n}};", text, re.DOTALL).group(1)
    body = re.sub(r"//.*", "", body)
    fields = []
    for statement in body.split(";"):
        declared = re.match(r"\s*(?:std::)?\w+(?:::\w+)*\s+(.*)", statement.strip(), re.DOTALL)
        if declared:
            fields += [part.split("=")[0].strip() for part in declared.group(1).split(",") if part.strip()]
    return fields


def counters():
    return set(struct_fields("runtime/include/morgana/net/core.hpp", "core_counters")) | set(
        struct_fields("runtime/include/morgana/net/tcp/engine.hpp", "engine_counters")) | {"refused"}


def test_every_limit_has_a_counter_and_a_test_that_reaches_it():
    rows = {row["field"]: row for row in table("limits.toml")["limit"]}
    fields = struct_fields("runtime/include/morgana/net/limits.hpp", "network_limits")
    assert len(fields) > 30
    assert sorted(rows) == sorted(fields), "a field of network_limits without a row in limits.toml, or a row without one"
    for field, row in rows.items():
        assert not unknown(row["tests"], known), f"{field}: no such test {unknown(row['tests'], known)}"
        assert row["tests"], f"{field}: no test"
        # What only times something has nothing to count; it says what shows it instead.
        assert row.get("counters") or row.get("seen"), f"{field}: neither counters nor seen"
        assert set(row.get("counters", [])) <= counters(), f"{field}: no such counter in {row['counters']}"
        if row.get("at_default"):
            continue
        assert any(f"limits.{field}" in known[name] for name in row["tests"]), f"{field}: no test sets or reads limits.{field}"


def test_every_case_of_mirage_tcpip_has_a_test_of_ours():
    groups = table("mirage_tcpip.toml")["group"]
    assert len(groups) == 17
    for group in groups:
        assert sum(case.get("count", 1) for case in group["case"]) == group["count"], group["name"]
        for case in group["case"]:
            assert case["tests"], f"{group['name']}: {case['name']}: no test"
            missing = unknown(case["tests"], known)
            assert not missing, f"{group['name']}: {case['name']}: no such test {missing}"
    assert sum(group["count"] for group in groups) == 427


def test_every_requirement_of_the_ledger_has_a_test_or_a_reason():
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", (source / "docs/network/ledger.md").read_text(), re.MULTILINE)
    assert len(rows) > 150
    for ident, what, shown in rows:
        named = [name for name in re.findall(r"`([^`]+)`", shown) if " " in name or "::" in name]
        # What stands in backquotes and is one word is code.
        named = [name for name in named if not re.fullmatch(r"\w+(::\w+)+", name) or name.startswith("tests/")]
        missing = unknown(named, known)
        assert not missing, f"{ident} ({what}): no such test {missing}"
        assert named or re.match(r"(By design|Deviation|Omitted)", shown), f"{ident} ({what}): neither a test nor a reason"
    listed = {ident for ident, _, _ in rows}
    wanted = {f"MUST-{i}" for i in range(1, 70)} | {f"SHLD-{i}" for i in range(1, 32)}
    assert wanted <= listed, f"not listed: {sorted(wanted - listed)}"


def test_every_mutation_of_the_stack_has_one_place_in_it():
    mutations = table(source / "tests/simulation/mutations.toml")["mutation"]
    astray = [one["name"] for one in mutations if (source / one["file"]).read_text().count(one["from"]) != 1]
    assert mutations and not astray
