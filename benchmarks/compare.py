"""What the compare_*.py share: how a comparison of dlcore with its peers is measured, and why it is fair.

- Every framework runs in a process of its own (peers/worker.py), since two thread pools in one process disturb each
  other. All are pinned to the same first `--threads` CPUs and told to use that many threads.
- Data lie in memory as float32 before the clock starts.
- All have the same network: they begin with the same weights, and a comparison ends where the number of parameters, the
  losses of the first two training steps or the probabilities of an image differ.
- The peers get their best case: a scan runs all configurations of a peer (peers/<task>_<peer>.py) one after the other
  and keeps the fastest by its *minimum*, which other tenants of the machine disturb least.
- Large tensors that glibc's malloc hands back to the kernel after every step cost an unfused framework thousands of
  page faults a step. Tuned users preload another allocator; here every worker is told to keep its heap, except in the
  configurations named "stock-malloc".
- Then the finalists take turns of some tenths of a second in the order A B C, C B A, ..., so that slow drifts of the
  machine hit all alike. Between turns a worker is stopped (SIGSTOP), because idle thread pools may spin and would steal
  CPU from the one being timed; a turn starts with some untimed work to fill the caches again.
- Result: the median over rounds of each contender's time divided by dlcore's time in the same round, with a 95 %
  bootstrap interval; and the median and minimum of each absolute time with the quartile spread.
- A turn begins when the CPUs are quiet; all waits together last `--patience` seconds at most. /proc/stat says how much
  of the CPUs others used during a turn. Rounds with more than 5 % are left out where at least five quiet ones remain;
  otherwise all are used and the result is marked NOISY: do not quote it.

No peer is required: what does not import is named and left out. `pip install -r benchmarks/requirements-peers.txt`
installs them; `--dlcore-python` names the Python that has dlcore, where it is another one.
"""

import argparse
import contextlib
import importlib
import json
import os
import pathlib
import platform
import random
import re
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

PEERS = pathlib.Path(__file__).resolve().parent / "peers"
CHECKOUT = PEERS.parents[1]
sys.path.insert(0, str(PEERS))
import mnist_files  # noqa: E402
import specs  # noqa: E402

THREAD_VARIABLES = [
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
]
KEEP_HEAP = {
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    "MALLOC_TRIM_THRESHOLD_": "4000000000",
    "MALLOC_TOP_PAD_": "100000000",
}
QUIET = 0.05  # share of the CPUs that others may use
SCAN_TURNS = 3
AGREE = {"parameters": 0, "losses": 2e-2, "probabilities": 1e-4}  # facts about a network: how far they may differ


class Failed(Exception):
    """A worker could not start or died; the message says why."""


class Worker:
    """A child process that does its jobs when told to and is stopped in between.

    `turns[job]` lists what each turn found: µs of one piece of work (the median call, where calls are timed one by
    one), its calls or its value, and the share of the CPUs that others used meanwhile.

    Args:
        task, peer: name peers/<task>_<peer>.py, and `config` one of its configurations.
        jobs: those of its jobs that are wanted now; `prepare` is for more.
        turn: seconds of a turn, default that of the comparison.
    """

    def __init__(self, task, peer, config, jobs, options, turn=None):
        self.task, self.peer, self.config, self.name = task, peer, config, f"{peer}: {config}"
        environment = environment_of(peer, options) | configurations(task, peer)[config].get("environment", KEEP_HEAP)
        wanted = ("threads", "cpus", "data", "isa", "model")
        spec = {"task": task, "peer": peer, "config": config} | {name: getattr(options, name) for name in wanted}
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the worker
        self.process = subprocess.Popen(
            [python_of(peer, options), str(PEERS / "worker.py"), json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            bufsize=1,
            env=environment,
            start_new_session=True,
        )
        try:
            answer = self._read(timeout=600)
            if "error" in answer:
                raise Failed(answer["error"])
            self.versions, self.facts, self.options = answer["ready"], answer["facts"], options
            self.turns, self.count = {}, {}
            for job in jobs:
                self._warm_up(job, turn or options.turn)
            self.stop()
        except BaseException:
            self.close()
            raise

    def _read(self, timeout):
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            raise Failed(f"no answer within {timeout} s")
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise Failed("died: " + (self.log.read().strip().splitlines() or ["without a word"])[-1])
        return json.loads(line)

    def _do(self, job, count):
        with contextlib.suppress(BrokenPipeError):  # reading says what it died of
            self.process.stdin.write(json.dumps({"job": job, "count": count}) + "\n")
        return self._read(timeout=600)

    def prepare(self, job, warm=0.5):
        """Wake, get ready for this job too, stop."""
        os.killpg(self.process.pid, signal.SIGCONT)
        self._warm_up(job, self.options.turn, warm)
        self.stop()

    def _warm_up(self, job, turn, warm=0.5):
        """At least 20 times and `warm` seconds after the first time, which compiles; and find out how often a turn does
        it. What takes a second each time is warm after two.
        """
        answer = self._do(job, 1)
        answer = self._do(job, 1)
        done, seconds = 1, answer["seconds"]
        while seconds < 2 * warm and (done < 20 or seconds < warm):
            answer = self._do(job, min(20, done) if done < 20 else done)
            done, seconds = done + answer["count"], seconds + answer["seconds"]
        self.turns[job], self.count[job] = [], max(1, round(turn * answer["count"] / answer["seconds"]))

    def stop(self):
        """Stop the whole process group and wait until the kernel says so."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def turn(self, job):
        """Wake, work a little untimed and one turn timed, stop."""
        cpus, count = self.options.cpus, self.count[job]
        wait_for_quiet(self.options)
        os.killpg(self.process.pid, signal.SIGCONT)
        self._do(job, max(1, count // 10))
        busy = busy_seconds(cpus)
        answer = self._do(job, count)
        foreign = busy_seconds(cpus) - busy - answer["cpu_seconds"]
        self.stop()
        if "calls" in answer:
            answer["calls"] = [round(call * 1e6, 2) for call in answer["calls"]]
            answer["us"] = statistics.median(answer["calls"])
        else:
            answer["us"] = answer["seconds"] / answer["count"] * 1e6
        answer["foreign"] = max(0.0, foreign / (answer["seconds"] * len(cpus)))
        self.turns[job].append(answer)

    def times(self, job):
        return [turn["us"] for turn in self.turns[job]]

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        self.log.close()


def python_of(peer, options):
    """The Python that has this peer."""
    return options.dlcore_python if peer == "dlcore" else sys.executable


def environment_of(peer, options):
    """Every thread pool has the same size; the checkout is on dlcore's path where it was built in place."""
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(options.threads))
    environment["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # no pool of helpers beside the worker
    if peer == "dlcore" and any(CHECKOUT.glob("dlcore/kernels/simd.*.so")):
        paths = [str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    return environment


def busy_seconds(cpus):
    """CPU time spent on these CPUs by anyone, stolen time included; 0 where /proc/stat is missing."""
    with contextlib.suppress(OSError):
        rows = (line.split() for line in pathlib.Path("/proc/stat").read_text().splitlines())
        ticks = sum(sum(map(int, row[1:4])) + sum(map(int, row[6:9])) for row in rows if row[0][3:] in map(str, cpus))
        return ticks / os.sysconf("SC_CLK_TCK")
    return 0.0


def wait_for_quiet(options):
    """With every worker stopped, wait until nobody uses the CPUs, or the patience for the whole run is used up."""
    while options.patience > 0:
        busy, start = busy_seconds(options.cpus), time.perf_counter()
        time.sleep(0.2)
        passed = time.perf_counter() - start
        if busy_seconds(options.cpus) - busy <= QUIET * passed * len(options.cpus):
            return
        options.patience -= passed


def configurations(task, peer, model=None):
    """The CONFIGS of peers/<task>_<peer>.py: {name: arguments of its build}, and the worker's environment; those worth
    trying for this model."""
    module = importlib.import_module(f"{task}_{peer}")
    if model is None or not hasattr(module, "configs"):
        return module.CONFIGS
    return {config: module.CONFIGS[config] for config in module.configs(model)}


def training_data(model="headline"):
    """(where from, x, y) for a network: MNIST below DLCORE_DATA_HOME where its images fit, else random images."""
    network = specs.NETWORKS[model]
    grey = int(np.prod(network.shape)) == 28 * 28
    if grey:
        with contextlib.suppress(OSError):
            x, y, _, _ = mnist_files.read()
            return "MNIST", (x / np.float32(255)).reshape(-1, *network.shape), y.astype(np.int32)
    rng, count = np.random.default_rng(0), 60000 if grey else network.images
    return "random images", rng.random((count, *network.shape), np.float32), rng.integers(0, 10, count, np.int32)


def machine(options):
    """What was measured on."""
    info = {}
    with contextlib.suppress(OSError):
        for line in reversed(pathlib.Path("/proc/cpuinfo").read_text().splitlines()):
            info[line.partition(":")[0].strip()] = line.partition(":")[2].strip()
    wanted = ["sse4_2", "avx", "f16c", "fma", "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd"]
    flags = info.get("flags", info.get("Features", "")).split()
    family = f" (family {info['cpu family']}, model {info['model']})" if "cpu family" in info else ""
    return {
        "cpu": info.get("model name", platform.processor() or platform.machine()) + family,
        "cores": os.cpu_count(),
        "isa": " ".join(f for f in wanted if f in flags),
        "dlcore_isa": options.isa,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "threads": options.threads,
        "load_average": round(os.getloadavg()[0], 2),
    }


def instruction_set(options):
    """The one that dlcore uses, None where dlcore does not import."""
    code = "import sys; del sys.path[0]\n"  # the folder we are in, which may hold a checkout that is not built
    code += "from dlcore.kernels import simd; print(simd.isa())"
    command = [python_of("dlcore", options), "-c", code]
    done = subprocess.run(command, env=environment_of("dlcore", options), capture_output=True, text=True)
    return done.stdout.strip() or None


def agree(name, facts, first):
    """End here where a framework does not have dlcore's network."""
    for fact in facts.keys() & first.keys():
        if not np.allclose(facts[fact], first[fact], rtol=AGREE[fact], atol=AGREE[fact]):
            sys.exit(f"{name} has another network than dlcore: {fact} {facts[fact]}, not {first[fact]}")


def scan(task, peer, jobs, options, facts):
    """Try every configuration of a peer. Returns {job: [(minimum µs, configuration)] from the fastest on}.

    `facts` is the first worker's, which fills it, and what the others must agree with.
    """
    ranked = {job: [] for job in jobs}
    for config in configurations(task, peer, options.model):
        name = f"{peer}: {config}"
        if peer != "dlcore" and not re.search(options.configs, name):
            continue
        worker = None
        try:
            worker = Worker(task, peer, config, jobs, options, options.turn / 2)
            agree(name, worker.facts, facts)
            facts.update({fact: value for fact, value in worker.facts.items() if fact not in facts})
            for job in jobs:
                for _ in range(SCAN_TURNS):
                    worker.turn(job)
            for job in jobs:
                ranked[job].append((min(worker.times(job)), config))
            numbers = "".join(f"{min(worker.times(job)):12.1f}" for job in jobs)
            print(f"  {name:44}{numbers}   others {worker.turns[jobs[-1]][-1]['foreign']:5.1%}", flush=True)
        except Failed as error:
            print(f"  {name:44} {str(error)[:100]}", flush=True)
            if re.match(r"(ModuleNotFound|Import)Error", str(error)):
                break  # not installed: the other configurations fail alike
        finally:
            if worker:
                worker.close()
    return {job: sorted(found) for job, found in ranked.items()}


def bootstrap(values, draws=2000):
    """95 % interval of the median."""
    rng = random.Random(0)
    medians = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(draws))
    return medians[round(0.025 * draws)], medians[round(0.975 * draws) - 1]


def interleave(contenders, rounds):
    """Let (worker, job) pairs take turns: A B C, C B A, ... Returns the quiet rounds' numbers, or all and False."""
    for number in range(rounds):
        for worker, job in contenders if number % 2 == 0 else reversed(contenders):
            worker.turn(job)
    quiet = [r for r in range(rounds) if max(w.turns[job][r]["foreign"] for w, job in contenders) <= QUIET]
    return (quiet, True) if len(quiet) >= min(5, rounds) else (list(range(rounds)), False)


def ratio(times, base):
    """(median of the ratios round by round, its 95 % interval)."""
    ratios = [a / b for a, b in zip(times, base, strict=True)]
    return statistics.median(ratios), bootstrap(ratios)


def summarise(contenders, kept, images=None):
    """One row per (worker, job); ratios are to the first."""
    first, rows = [contenders[0][0].times(contenders[0][1])[r] for r in kept], []
    for worker, job in contenders:
        turns = [worker.turns[job][r] for r in kept]
        us = [turn["us"] for turn in turns]
        middle = statistics.median(us)
        low, _, high = statistics.quantiles(us, n=4) if len(us) > 1 else us * 3
        row = {
            "peer": worker.peer,
            "config": worker.config,
            "job": job,
            "versions": worker.versions,
            "us": middle,
            "us_interval": bootstrap(us),
            "us_min": min(us),
            "spread": (high - low) / middle,
            "foreign": statistics.median(turn["foreign"] for turn in turns),
            "value": turns[-1].get("value"),
            "rounds": us,
        }
        row["ratio"], row["ratio_interval"] = ratio(us, first)
        if images:
            row["us_per_image"] = middle / images
        if "calls" in turns[0]:
            calls = sorted(call for turn in turns for call in turn["calls"])
            row["calls"] = len(calls)
            row |= {f"p{p}": calls[min(len(calls) - 1, len(calls) * p // 100)] for p in (50, 90, 99)}
        rows.append(row)
    return rows


def contest(task, jobs, peers, options, extra=()):
    """Scan all peers, then let the best of each and all of dlcore's ways take turns, job by job.

    Args:
        task: the peers are peers/<task>_<peer>.py.
        jobs: {job: images of one piece of work}.
        extra: further workers as (task, peer, config), which take part in every job.

    Returns:
        {job: {"quiet": bool, "rounds": used of all, "rows": of `summarise`, dlcore's first way leading}}, and what the
        scan found: {peer: {job: [(minimum µs, configuration)]}}.
    """
    ranking, facts = {}, {}
    print(f"\nscan, the fastest of {SCAN_TURNS} turns, µs\n  {'':44}" + "".join(f"{job:>12}" for job in jobs))
    for peer in ["dlcore", *peers]:
        ranking[peer] = scan(task, peer, list(jobs), options, facts)
    wanted = {}  # (task, peer, config): its jobs
    for config in configurations(task, "dlcore"):
        if any(config == found for _, found in ranking["dlcore"][next(iter(jobs))]):
            wanted[task, "dlcore", config] = list(jobs)
    if not wanted:
        sys.exit("dlcore does not run here: build it, or name its Python with --dlcore-python")
    for who in extra:
        wanted[who] = list(jobs)
    for peer in peers:
        for job in jobs:
            if ranking[peer][job]:
                wanted.setdefault((task, peer, ranking[peer][job][0][1]), []).append(job)
    results = {}
    with contextlib.ExitStack() as stack:
        workers = []
        for who, its_jobs in wanted.items():
            workers.append(Worker(*who, its_jobs, options))
            stack.callback(workers[-1].close)
        for job, images in jobs.items():
            contenders = [(worker, job) for worker in workers if job in worker.turns]
            kept, quiet = interleave(contenders, options.rounds)
            rows = summarise(contenders, kept, images)
            results[job] = {"quiet": quiet, "rounds": [len(kept), options.rounds], "rows": rows}
            print_table(job, results[job])
    return results, ranking


def contests(task, jobs_of, peers, options, extra=()):
    """`contest` for each model that the options name, and a table of all where they are several.

    Args:
        jobs_of: function of a model's name: {job: images}.

    Returns:
        {model: {"data": where from, "results": ..., "scan": ...}}
    """
    found = {}
    for model in specs.NETWORKS if options.model == "all" else [options.model]:
        options.model = model
        data, network = provide(options, model), specs.NETWORKS[model]
        print(f"\n=== {network.title}: {network.parameters():,} parameters, {data}", flush=True)
        results, ranking = contest(task, jobs_of(model), peers, options, extra)
        found[model] = {"data": data, "results": results, "scan": ranking}
    if len(found) > 1:
        print(f"\n{'':14}{'':8}{'dlcore µs':>12}   {'best peer':44}{'µs':>12}   ratio")
    for model, job, own, best, quiet in summary(found) if len(found) > 1 else ():
        low, high = best["ratio_interval"]
        print(
            f"{model:14}{job:8}{own['us']:12,.0f}   {best['peer'] + ': ' + best['config']:44}{best['us']:12,.0f}"
            f"{best['ratio']:8.2f}   {low:.2f} .. {high:.2f}{'' if quiet else '   NOISY'}"
        )
    return found


def summary(found):
    """(model, job, dlcore's first row, the fastest peer's row, whether all was quiet) of what `contests` found."""
    for model, measured in found.items():
        for job, result in measured["results"].items():
            peers = [row for row in result["rows"] if row["peer"] not in COLOURS]
            if peers:
                yield model, job, result["rows"][0], min(peers, key=lambda row: row["us"]), result["quiet"]


def print_table(title, result):
    """The rows of `summarise` for a terminal."""
    used, of = result["rounds"]
    rows = result["rows"]
    note = "" if result["quiet"] else "; NOISY: others used the CPUs, do not quote"
    print(f"\n{title}: {used} of {of} rounds used{note}; ratios to {rows[0]['peer']}: {rows[0]['config']}")
    columns = {"us": "µs", "us_per_image": "an image", "us_min": "min", "p50": "p50", "p90": "p90", "p99": "p99"}
    columns = {key: name for key, name in columns.items() if key in rows[0]}
    print(" " * 46 + "".join(f"{name:>10}" for name in columns.values()) + "  spread  others   ratio   95 % interval")
    for row in rows:
        name = f"{row['peer']}: {row['config']}" + ("" if row["job"] == title else f", {row['job']}")
        numbers = "".join(f"{row[key]:10.2f}" if row[key] < 100 else f"{row[key]:10.0f}" for key in columns)
        low, high = row["ratio_interval"]
        print(
            f"{name:46}{numbers}{row['spread']:8.1%}{row['foreign']:8.1%}{row['ratio']:8.2f}   {low:.2f} .. {high:.2f}",
            flush=True,
        )


COLOURS = {"dlcore": "#d1495b", "peak": "#9aa5b1"}


def draw(panels, file, unit):
    """A PNG: one panel per (title, rows), one bar per contender with the 95 % interval of its median."""
    from matplotlib.figure import Figure

    heights = [len(rows) + 1 for _, rows in panels]
    figure = Figure(figsize=(8, 0.42 * sum(heights) + 0.5), layout="constrained")
    for axes, (title, rows) in zip(
        figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0], panels, strict=True
    ):
        names = [f"{row['peer']}: {row['config']}" for row in rows]
        values = [row["us"] for row in rows]
        colours = [COLOURS.get(row["peer"], "#30638e") for row in rows]
        errors = [[abs(row["us"] - row["us_interval"][side]) for row in rows] for side in (0, 1)]
        axes.barh(names, values, color=colours, height=0.68, xerr=errors, error_kw={"ecolor": "#333333", "capsize": 3})
        for number, row in enumerate(rows):
            text = f"{row['us']:,.0f}" if row["us"] >= 100 else f"{row['us']:.1f}"
            text += f"   ({row['ratio']:.1f}×)" if number and row["peer"] not in COLOURS else ""
            axes.annotate(text, (row["us_interval"][1], number), (6, 0), textcoords="offset points", va="center")
        axes.invert_yaxis()
        axes.set_xlim(0, 1.3 * max(row["us_interval"][1] for row in rows))
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="#dddddd")
        axes.set_axisbelow(True)
    axes.set_xlabel(unit)
    figure.savefig(file, dpi=150)


def parser(description, peers=(), rounds=15, turn=0.7):
    """The options that all comparisons have."""
    options = argparse.ArgumentParser(description=description.partition("\n")[0])
    if peers:
        options.add_argument("--peers", default=",".join(peers), help="default: %(default)s")
        options.add_argument("--configs", default="", metavar="REGEX", help="only peers' configurations that match")
        options.add_argument(
            "--model", default="headline", choices=[*specs.NETWORKS, "all"], help="default: %(default)s"
        )
        options.add_argument("--chart", metavar="FILE", help="draw the result into a PNG")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--rounds", type=int, default=rounds, help="default: %(default)s")
    options.set_defaults(turn=turn)
    if not peers:
        options.set_defaults(model="headline")
    options.add_argument("--patience", type=float, default=120, help="seconds to wait for quiet, in all (default: 120)")
    options.add_argument("--dlcore-python", default=sys.executable, metavar="PYTHON")
    options.add_argument("--json", metavar="FILE", help="write everything measured")
    return options


@contextlib.contextmanager
def prepared(options):
    """Complete the options by CPUs, data and instruction set, and print and yield what is measured on."""
    mask = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count()))
    options.cpus = mask[: options.threads]
    if len(options.cpus) < options.threads:
        sys.exit(f"{options.threads} threads asked for, {len(mask)} CPUs allowed")
    options.isa = instruction_set(options)
    info = machine(options)
    with tempfile.TemporaryDirectory() as options.folder:
        info["data"] = provide(options, "headline" if options.model == "all" else options.model)
        print(*(f"{key}: {value}" for key, value in info.items()), sep="\n", flush=True)
        yield info


def provide(options, model):
    """Write the model's data where workers find them. Returns where they are from."""
    source, x, y = training_data(model)
    options.data = os.path.join(options.folder, "data.npz")
    np.savez(options.data, x=x, y=y)
    return source


def write_json(options, report):
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(report, indent=1) + "\n")
