# cython: language_level=3
"""The executor: the one place where threads exist.

A Program is a list of stages with a barrier after each. A stage has groups, a group has steps over the same tasks; the
tasks are cut into chunks by the group's grain, which depends on shapes only, and a chunk runs through all steps of its
group before the next chunk starts (depth-first, so that what one step wrote is in cache for the next). Which thread takes
a chunk never matters for the result: one thread sums it in order, and nothing else is shared. For speed each thread has a
share, from the first chunk on, and helps others from their last one on: most chunks stay with the processor they were on.

One parallel region covers a whole run of many steps. Inside it nothing is allocated and the GIL is not held, but for a
look at pending signals some twenty times a second.
"""
import threading

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport parallel, threadid
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from dlcore.kernels.memory cimport Arena
from dlcore.kernels.pace cimport Pace

cdef extern from "sync.h" nogil:
    ctypedef struct dlc_counter:
        int64_t value
    ctypedef struct dlc_barrier:
        int64_t latched, crowded
    void dlc_share_set(dlc_counter *c, int64_t begin, int64_t end)
    int64_t dlc_share_take(dlc_counter *c, int last)
    void dlc_set(dlc_counter *c, int64_t value)
    int64_t dlc_get(const dlc_counter *c)
    int dlc_barrier_last(dlc_barrier *b, int threads)
    void dlc_barrier_release(dlc_barrier *b, int64_t latched)
    void dlc_barrier_wait(dlc_barrier *b, int threads)
    double dlc_seconds()
    uint64_t dlc_flush_subnormals()
    void dlc_restore_float_state(uint64_t state)

cdef extern from "openmp.h":
    int omp_get_max_threads() nogil
    int omp_get_num_threads() nogil
    int omp_in_parallel() nogil
    int omp_get_num_procs() nogil
    int dlc_serial
    unsigned long dlc_main_thread
    unsigned long PyThread_get_thread_ident() nogil
    const char *dlc_watch_forks()
    void dlc_enter_region() nogil
    void dlc_leave_region() nogil
    bint DLC_OPENMP

cdef double SERIAL_WORK = 1e6      # multiply-adds in a step below which one thread is faster: about 20 us
cdef double THREAD_WORK = 2.5e5    # that make another thread worth while
cdef double POLL_SECONDS = 0.05    # between looks at pending signals
cdef double SHORT_WORK = 1e7       # multiply-adds of a single step that is over before anybody would look: about 200 us

dlc_main_thread = threading.main_thread().ident


# ---------------------------------------------------------------------------------------------------------------------
# Steps

cdef class Step:
    """A kernel with its arguments bound: run it alone with `run`, or many in a Program."""

    def __dealloc__(self):
        free(self.args)

    def run(self, int threads=1, grain=None):
        """Run all tasks once, in chunks of `grain` (default: that it was bound with, else all), on `threads` threads."""
        Program([[([self], grain or self.grain or max(self.tasks, 1))]]).run(threads=threads)


cdef Step make_step(Leaf leaf, const void *args, size_t size, Py_ssize_t tasks, double work, Py_ssize_t scratch,
                    object keep, Py_ssize_t grain=0):
    cdef Step s = Step.__new__(Step)
    s.args = malloc(size)
    if s.args == NULL:
        raise MemoryError()
    memcpy(s.args, args, size)
    s.leaf, s.tasks, s.work, s.scratch, s.keep, s.grain = leaf, tasks, work, scratch, keep, grain
    return s


cdef class Clock:
    @property
    def step(self):
        """Optimizer steps done since training began."""
        return self.step_

    @step.setter
    def step(self, value):
        self.step_ = value

    @property
    def cursor(self):
        """Row of the data at which the next batch starts."""
        return self.cursor_

    @cursor.setter
    def cursor(self, value):
        self.cursor_ = value


# ---------------------------------------------------------------------------------------------------------------------
# Programs

ctypedef struct BoundStep:
    Leaf leaf
    const void *args
    Py_ssize_t tasks
    int number                # among all steps of the program

ctypedef struct Group:
    BoundStep *steps
    int count
    Py_ssize_t tasks, grain, chunks   # grain 0: one chunk

ctypedef struct Stage:
    Group *groups
    int count
    Py_ssize_t chunks
    dlc_counter *left         # per thread: chunks of its share that nobody has begun

ctypedef struct Run:
    Stage *stages
    int stage_count
    int prologue              # stages that prepare the weights, which the steps themselves keep prepared
    bint prepared             # whether they are so already
    int commit                # first stage that changes what outlives a step; a run can be abandoned before it
    char **slots
    dlc_barrier *barrier
    dlc_counter *stop         # set by the thread that saw a signal
    int64_t *step             # clock, or NULL
    int64_t *cursor
    int64_t step_increment, cursor_increment
    int64_t done              # whole steps
    bint poll
    double polled
    double *seconds           # by thread and step, while `profile` measures; else NULL
    int steps                 # of the program
    void *program


cdef class Program:
    """Stages of groups of steps over one set of buffers.

    Args:
        stages: list of stages; a stage is a list of `(steps, grain)`, steps of one group having the same task count, or
            `(steps, None)`, where all tasks of every step make one chunk.
        clock, step_increment: what a finished step adds to the clock's step.
        cursor, cursor_increment: the clock (default: `clock`) whose cursor says where a batch starts; what a step adds to it.
        slot_bytes: size of each thread's slab tensors (offsets -slot_bytes..0 from its slot).
        commit: index of the first stage that changes parameters or totals.
        prologue: number of stages, from the first, that only the first step of a run has: they prepare the weights.
        keep: anything that must live as long as the program.

    A program runs in one thread at a time: `run` raises RuntimeError when it is already running.
    """
    cdef Run c
    cdef list bound
    cdef Arena slots
    cdef Py_ssize_t slot_bytes, scratch
    cdef int threads_ready
    cdef bint running
    cdef object error, keep
    cdef readonly Clock clock
    cdef readonly Clock cursor
    cdef readonly double work
    cdef readonly double shared  # the part of it, past the prologue, in stages of several chunks
    cdef readonly bint serial    # one thread is as fast as any number
    cdef Pace pace
    cdef public object prepared  # the `weights` of the last whole run
    cdef public object ops       # whose steps these are, in order, where they come from a graph

    def __cinit__(self):
        memset(&self.c, 0, sizeof(Run))

    def __init__(self, stages, Clock clock=None, cursor_increment=0, step_increment=0, slot_bytes=0, commit=None,
                 keep=None, Clock cursor=None, int prologue=0):
        cdef Step step
        cdef int i, j, k
        cdef Group *group
        cdef double before
        self.clock = clock
        self.keep = keep
        self.bound = []
        self.slot_bytes = slot_bytes
        self.c.barrier = <dlc_barrier *>calloc(1, sizeof(dlc_barrier))
        self.c.stop = <dlc_counter *>calloc(1, sizeof(dlc_counter))
        self.c.stages = <Stage *>calloc(max(len(stages), 1), sizeof(Stage))
        if self.c.stages == NULL or self.c.stop == NULL or self.c.barrier == NULL:
            raise MemoryError()
        self.c.stage_count = max(len(stages), 1)  # a step ends at the barrier of its last stage
        self.c.commit = len(stages) if commit is None else commit
        if not 0 <= prologue < self.c.stage_count:
            raise ValueError(f"Program: {self.c.stage_count} stages cannot begin with {prologue} of a prologue")
        self.c.prologue = prologue
        self.c.step_increment, self.c.cursor_increment = step_increment, cursor_increment
        self.cursor = clock if cursor is None else cursor
        if clock is not None:
            self.c.step = &clock.step_
        if self.cursor is not None:
            self.c.cursor = &self.cursor.cursor_
        for i, groups in enumerate(stages):
            self.c.stages[i].groups = <Group *>calloc(max(len(groups), 1), sizeof(Group))
            if self.c.stages[i].groups == NULL:
                raise MemoryError()
            self.c.stages[i].count = len(groups)
            before = self.work
            for j, (steps, grain) in enumerate(groups):
                group = &self.c.stages[i].groups[j]
                group.steps = <BoundStep *>calloc(max(len(steps), 1), sizeof(BoundStep))
                if group.steps == NULL:
                    raise MemoryError()
                group.count, group.grain = len(steps), grain or 0
                for k, item in enumerate(steps):
                    if not isinstance(item, Step):
                        raise TypeError(f"Program: expected steps. Received: {type(item).__name__}")
                    step = item
                    if k == 0:
                        group.tasks = step.tasks
                    if grain is not None and (step.tasks != group.tasks or grain < 1):
                        raise ValueError(f"Program: a group has steps of {group.tasks} and {step.tasks} tasks, grain {grain}")
                    if step.grain != 0 and step.grain != grain:
                        raise ValueError(f"Program: a step for chunks of {step.grain} tasks cannot run in chunks of {grain}")
                    group.steps[k].leaf, group.steps[k].args, group.steps[k].tasks = step.leaf, step.args, step.tasks
                    group.steps[k].number = len(self.bound)
                    self.work += step.work
                    self.scratch = max(self.scratch, step.scratch)
                    self.bound.append(step)
                group.chunks = 1 if grain is None else (group.tasks - 1) // grain + 1 if group.tasks > 0 else 0
                self.c.stages[i].chunks += group.chunks
            if i >= prologue and self.c.stages[i].chunks > 1:
                self.shared += self.work - before
        self.c.steps = len(self.bound)
        self.serial = self.shared < SERIAL_WORK
        self.pace = Pace()

    def __dealloc__(self):
        cdef int i, j
        for i in range(self.c.stage_count if self.c.stages != NULL else 0):
            for j in range(self.c.stages[i].count if self.c.stages[i].groups != NULL else 0):
                free(self.c.stages[i].groups[j].steps)
            free(self.c.stages[i].groups)
            free(self.c.stages[i].left)
        free(self.c.stages)
        free(self.c.slots)
        free(self.c.barrier)
        free(self.c.stop)

    cdef int prepare(self, int threads) except -1:
        """Slots and counters for `threads` threads; grows only."""
        cdef int i
        cdef Py_ssize_t size = (self.slot_bytes + self.scratch + 191) // 64 * 64  # 128 bytes apart from the next slot
        cdef void *p
        if threads <= self.threads_ready:
            return 0
        self.slots = Arena(threads * size, busy=True)
        p = malloc(threads * sizeof(char *))
        if p == NULL:
            raise MemoryError()
        free(self.c.slots)
        self.c.slots = <char **>p
        for i in range(threads):
            self.c.slots[i] = self.slots.data + i * size + self.slot_bytes
        for i in range(self.c.stage_count):
            p = calloc(threads, sizeof(dlc_counter))
            if p == NULL:
                raise MemoryError()
            free(self.c.stages[i].left)
            self.c.stages[i].left = <dlc_counter *>p
        self.threads_ready = threads
        return 0

    @property
    def nbytes(self):
        """Bytes of the slots in use now."""
        return 0 if self.slots is None else self.slots.nbytes

    def run(self, Py_ssize_t steps=1, int threads=1, weights=None):
        """Run the program `steps` times. Returns the number of whole steps done (always `steps`, unless it raises).

        `weights` stands for the values of the weights: while it is `prepared`, that of the last whole run, there is no
        prologue. None: they may be any.

        Raises:
            RuntimeError: the program is running in another thread.
            KeyboardInterrupt, or what another signal handler raised: the step in work was abandoned or finished, never
                left half done; the clock tells how far the run came.
        """
        cdef int n = 1 if self.serial or threads < 1 else <int>min(<double>threads, self.shared / THREAD_WORK)
        cdef double begin = 0, now
        if self.running:  # the GIL is held from here to where it is set
            raise RuntimeError("this program is already running in another thread")
        self.running = True
        try:
            if n > 1:
                begin = dlc_seconds()
                n = 1 if dlc_serial or omp_in_parallel() else self.pace.allowed(n, begin, steps)
            self.prepare(n)
            self.c.done = self.c.stop.value = 0
            self.c.prepared = weights is not None and weights is self.prepared
            self.prepared = None
            self.c.poll = (steps > 1 or self.work > SHORT_WORK) and PyThread_get_thread_ident() == dlc_main_thread
            self.c.polled = dlc_seconds() if self.c.poll else 0
            self.c.program = <void *>self
            memset(self.c.barrier, 0, sizeof(dlc_barrier))
            self.c.barrier.crowded = n > 1 and n > omp_get_num_procs()
            with nogil:
                if n == 1:
                    work(&self.c, 0, 1, steps)
                else:
                    run_parallel(&self.c, n, steps)
            if self.error is not None:
                error, self.error = self.error, None
                raise error
            if begin > 0 and self.c.done and (self.c.prologue == 0 or self.c.prepared):
                now = dlc_seconds()
                self.pace.took(n, (now - begin) / self.c.done, now)
            if self.c.done or self.c.prepared:
                self.prepared = weights
            return self.c.done
        finally:
            self.running = False

    def profile(self, Py_ssize_t steps=1, int threads=1, weights=None):
        """`run`, with a look at the clock around each call of a leaf. Returns (work, seconds) of each step of the program in
        order: its multiply-adds, and what it took in one run, all threads together."""
        threads = max(threads, 1)
        storage = bytearray(threads * max(self.c.steps, 1) * sizeof(double))
        cdef double[::1] seconds = memoryview(storage).cast("d")
        self.c.seconds = &seconds[0]
        try:
            self.run(steps, threads, weights)
        finally:
            self.c.seconds = NULL
        return [((<Step>step).work, sum(seconds[i :: self.c.steps]) / max(steps, 1)) for i, step in enumerate(self.bound)]


cdef void run_parallel(Run *run, int threads, Py_ssize_t steps) noexcept nogil:
    dlc_enter_region()
    with parallel(num_threads=threads):
        work(run, threadid(), omp_get_num_threads(), steps)
    dlc_leave_region()


cdef void poll(Run *run) noexcept with gil:
    program = <Program>run.program
    try:
        PyErr_CheckSignals()
    except BaseException as error:
        program.error = error
        dlc_set(run.stop, 1)


cdef inline void look(Run *run) noexcept nogil:
    """A look at pending signals by the calling thread, when the last one is long ago."""
    if run.poll and dlc_seconds() - run.polled > POLL_SECONDS:
        poll(run)
        run.polled = dlc_seconds()


cdef void work(Run *run, int thread, int threads, Py_ssize_t steps) noexcept nogil:
    """What each thread of the region does."""
    cdef uint64_t float_state = dlc_flush_subnormals()
    cdef Py_ssize_t step
    cdef int i, t
    cdef Stage *stage
    cdef int64_t stopped = 0
    for i in range(run.stage_count):
        deal(&run.stages[i], thread, threads)
    dlc_barrier_wait(run.barrier, threads)
    for step in range(steps):
        for i in range(run.prologue if step > 0 or run.prepared else 0, run.stage_count):
            stage = &run.stages[i]
            for t in range(threads):  # its own share first, then what the others have not begun
                take_chunks(run, stage, &stage.left[(thread + t) % threads], thread, t > 0, i < run.commit)
            if thread == 0:  # the others may have taken every chunk
                look(run)
            if dlc_barrier_last(run.barrier, threads):
                stopped = dlc_get(run.stop)
                if i == run.stage_count - 1 and not (stopped and i < run.commit):  # the step is done
                    run.done += 1
                    if run.step != NULL:
                        run.step[0] += run.step_increment
                    if run.cursor != NULL:
                        run.cursor[0] += run.cursor_increment
                dlc_barrier_release(run.barrier, stopped)
            stopped = run.barrier.latched
            deal(stage, thread, threads)
            if stopped and i < run.commit:
                break
        if stopped:
            break
    dlc_restore_float_state(float_state)


cdef inline void deal(Stage *stage, int thread, int threads) noexcept nogil:
    dlc_share_set(&stage.left[thread], stage.chunks * thread // threads, stage.chunks * (thread + 1) // threads)


cdef inline void take_chunks(Run *run, Stage *stage, dlc_counter *share, int thread, bint others, bint abandon) noexcept nogil:
    cdef Py_ssize_t chunk, begin, end
    cdef Group *group
    cdef char *slot = run.slots[thread]
    cdef int s
    while True:
        if abandon and dlc_get(run.stop):
            return
        chunk = dlc_share_take(share, others)
        if chunk < 0:
            return
        group = stage.groups
        while chunk >= group.chunks:
            chunk -= group.chunks
            group += 1
        begin = chunk * group.grain
        end = min(begin + group.grain, group.tasks)
        for s in range(group.count):
            if run.seconds != NULL:
                run.seconds[thread * run.steps + group.steps[s].number] -= dlc_seconds()
            group.steps[s].leaf(group.steps[s].args, begin, end if group.grain > 0 else group.steps[s].tasks, slot)
            if run.seconds != NULL:
                run.seconds[thread * run.steps + group.steps[s].number] += dlc_seconds()
        if thread == 0:
            look(run)


# ---------------------------------------------------------------------------------------------------------------------
# OpenMP, for config

def openmp_limit():
    """What OpenMP would use in this thread now: threadpoolctl and omp_set_num_threads change it. 1 without OpenMP."""
    return omp_get_max_threads()


def openmp_processors():
    """Processors that OpenMP found when it started: it may have bound this thread to one of them since. 1 without OpenMP."""
    return omp_get_num_procs()


def openmp_runtime():
    """Path of the OpenMP runtime, empty without one."""
    return _runtime if DLC_OPENMP else ""


_runtime = (<bytes>dlc_watch_forks()).decode(errors="replace")
