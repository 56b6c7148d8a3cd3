"""What the database server alone can do: pgbench inserts the rows of as many commits as a group of the server holds.

Which rows a commit changes is not written down here: it is read from the server's own statistics of a run under load,
and the lengths of columns from the rows that it left. So the comparison stays true when the schema changes.
"""

import json
import os
import re
import subprocess
import tempfile
import time


def changes(databases, name):
    """Rows inserted, updated and deleted so far, by table."""
    # Sessions report now and then, once they are idle.
    time.sleep(1.5)
    rows = databases.run("SELECT json_agg(t) FROM pg_stat_user_tables t", name)
    found = json.loads("".join(rows))
    return {one["relname"]: (one["n_tup_ins"], one["n_tup_upd"], one["n_tup_del"]) for one in found}


def columns(databases, name, table):
    """(column, type, mean length, whether an index holds it) of a table."""
    listed = databases.run(
        f"""
        SELECT json_agg(json_build_array(a.attname, a.atttypid::regtype, EXISTS (
            SELECT 1 FROM pg_index i WHERE i.indrelid = a.attrelid AND a.attnum = ANY (i.indkey)) ) ORDER BY a.attnum)
        FROM pg_attribute a WHERE a.attrelid = '{table}'::regclass AND a.attnum > 0 AND NOT a.attisdropped
        """,
        name,
    )
    result = []
    for column, kind, indexed in json.loads("".join(listed)):
        length = 8
        if kind in ("text", "bytea"):
            sample = f"SELECT {column} AS v FROM {table} ORDER BY ctid DESC LIMIT 2000"
            length = round(float(databases.run(f"SELECT COALESCE(AVG(octet_length(v)), 0) FROM ({sample}) s", name)[0]))
        result.append((column, kind, length, indexed))
    return result


def value(kind, length, indexed, number):
    """An expression for a column's value; what an index holds differs from row to row."""
    if kind == "text":
        return f"rpad(md5(({number})::text), {length}, 'x')" if indexed else f"repeat('x', {length})"
    if kind == "bytea":
        if indexed:
            return (
                f"substring(decode(md5(({number})::text) || md5(({number})::text || 'x') || '01711220', 'hex'), 1, 36)"
            )
        return f"'\\x{os.urandom(length).hex()}'::bytea"
    return f"({number})::bigint"


def key_value(column, kind, length, number, trees):
    """As `value`, with trees and repositories among those that are there."""
    if column in ("tree", "repository", "id"):
        return f"({number})::bigint % {trees} + 1"
    return value(kind, length, True, number)


def statements(databases, name, table, counts, trees, behind):
    """The statements that change so many rows of a table; each takes a number of its own, `:n`."""
    inserts, updates, deletes = counts
    described = columns(databases, name, table)
    indexed = [one for one in described if one[3]]
    lines = []
    names = ", ".join(one[0] for one in described)
    for _ in range(inserts):
        values = ", ".join(
            key_value(column, kind, length, ":n", trees) if is_indexed else value(kind, length, False, "1")
            for column, kind, length, is_indexed in described
        )
        lines += ["\\set n :n + 1", f"INSERT INTO {table} ({names}) VALUES ({values});"]
    loose = [one for one in described if not one[3]]
    for _ in range(updates):
        assigned = ", ".join(f"{column} = {value(kind, length, False, '1')}" for column, kind, length, _ in loose)
        where = f"{indexed[0][0]} = (SELECT {indexed[0][0]} FROM {table} LIMIT 1)"
        if indexed[0][1] == "bigint":
            where = f"{indexed[0][0]} = (:n)::bigint % {trees} + 1"
        lines += ["\\set n :n + 1", f"UPDATE {table} SET {assigned} WHERE {where};"]
    for index in range(deletes):
        number = f":n - {behind + index}"
        where = " AND ".join(
            f"{column} = {key_value(column, kind, length, number, trees)}" for column, kind, length, _ in indexed
        )
        lines.append(f"DELETE FROM {table} WHERE {where};")
    return lines


def run(databases, name, before, after, commits, group, seconds, trees=100):
    """(commits a second, rows a commit) that pgbench reaches with groups of the same size, each one durable."""
    rates = {
        table: [(now - then) / commits for now, then in zip(after[table], before.get(table, (0, 0, 0)), strict=True)]
        for table in after
    }
    script = ["\\startpipeline", "BEGIN;", "SELECT pg_advisory_xact_lock(1);"]
    total = 0
    for table, rate in sorted(rates.items()):
        counts = [round(one * group) for one in rate]
        if any(counts):
            total += sum(counts)
            script += statements(databases, name, table, counts, trees, behind=2000)
    script += ["NOTIFY kith_log, '1';", "COMMIT;", "\\endpipeline"]
    target = name + "_floor"
    databases.drop(target)
    databases.make(target)
    tool, address = databases.tool, databases.address
    # The rows that are updated have to be there.
    for more in (["--schema-only"], ["--data-only", "-t", "repository", "-t", "storage_sequence"]):
        dump = subprocess.run(
            [tool("pg_dump"), "--no-owner", *more, address(name)], capture_output=True, text=True, check=True
        )
        subprocess.run(
            [tool("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", address(target)],
            input=dump.stdout,
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write("\n".join(script) + "\n")
        file.flush()
        options = ["-n", "-c", "1", "-T", str(seconds), "-M", "prepared", "-D", "n=1000000000", "-f", file.name]
        done = subprocess.run([tool("pgbench"), *options, address(target)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    found = re.search(r"tps = ([0-9.]+)", done.stdout)
    databases.drop(target)
    return float(found.group(1)) * group, total / group
