/* Runs the test of every word on every instruction set that this processor has, or on those named as arguments:
 *
 *     cc -std=gnu11 -Icsrc -DDLC_HAVE_... tests/csrc/x.c csrc/x.c -lm -o words && ./words [isa ...]
 *
 * tests/test_csrc.py says it in full. Prints what differs; the exit status is 1 then. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

extern const word gemm_words[], outer_words[], correlate_words[], matmul_words[], depthwise_words[], narrow_words[],
    rows_words[], elementwise_words[], unary_words[], pooling_words[], conv_narrow_words[], conv_pool_words[], winograd_words[],
    winograd_conv_words[], normalization_words[], optimizers_words[], random_words_[], convolve_words[],
    lanes_pool_words[], gemm_row_words[];
static const word *const families[] = {
    gemm_words, outer_words, correlate_words, matmul_words, depthwise_words, narrow_words, rows_words, elementwise_words,
    unary_words, pooling_words, conv_narrow_words, conv_pool_words, winograd_words, winograd_conv_words, normalization_words,
    optimizers_words, random_words_, convolve_words, lanes_pool_words,
    gemm_row_words};
enum { FAMILIES = sizeof families / sizeof *families };

/* members of the table that are numbers, not words */
static const size_t numbers[] = {
    offsetof(dlc_tiles, isa), offsetof(dlc_tiles, width), offsetof(dlc_tiles, nr), offsetof(dlc_tiles, outer_rows),
    offsetof(dlc_tiles, outer_rows_1),
    offsetof(dlc_tiles, matmul_rows), offsetof(dlc_tiles, matmul_nr), offsetof(dlc_tiles, matmul_lying),
    offsetof(dlc_tiles, matmul_wide), offsetof(dlc_tiles, masked_fma)};

static int failures, failures_of_word;
static const char *now_isa, *now_word;

/* ---- memory */

typedef struct { void *start; size_t size; } mapping;
static mapping mappings[1 << 14];
static int mapped;

static void *before_guard(size_t bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) / page * page;
    if (mapped == sizeof mappings / sizeof *mappings) {
        printf("%s: more buffers than main.c keeps\n", now_word);
        exit(2);
    }
    char *p = mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (p == MAP_FAILED || mprotect(p + whole, page, PROT_NONE)) {
        perror("mmap");
        exit(2);
    }
    mappings[mapped++] = (mapping){p, whole + page};
    return p + whole - bytes;
}

void release(void) {
    while (mapped > 0) {
        mapped--;
        munmap(mappings[mapped].start, mappings[mapped].size);
    }
}

float *blank(ptrdiff_t n) {
    float *p = before_guard((size_t)n * sizeof *p);
    for (ptrdiff_t i = 0; i < n; i++) p[i] = NAN;
    return p;
}

uint8_t *blank_bytes(ptrdiff_t n) { return memset(before_guard((size_t)n), 0xee, (size_t)n); }
double *doubles(ptrdiff_t n) { return before_guard((size_t)n * sizeof(double)); }

/* ---- numbers */

static uint64_t state;
static uint32_t draw(void) { return (uint32_t)((state = state * 6364136223846793005u + 1442695040888963407u) >> 33); }
ptrdiff_t random_below(ptrdiff_t n) { return (ptrdiff_t)(draw() % (uint32_t)n); }

float *quarters(ptrdiff_t n) {
    float *p = blank(n);
    for (ptrdiff_t i = 0; i < n; i++) p[i] = 0.25f * (float)(random_below(33) - 16);
    return p;
}

float *uniform(ptrdiff_t n, double low, double high) {
    float *p = blank(n);
    for (ptrdiff_t i = 0; i < n; i++) p[i] = (float)(low + (high - low) * draw() / 0x80000000u);
    return p;
}

float *wild(ptrdiff_t n) {
    float *p = quarters(n);
    for (ptrdiff_t i = 0; i < n; i++)
        if (random_below(4) == 0) p[i] = (const float[]){NAN, INFINITY, -INFINITY, -0.0f, NAN}[random_below(5)];
    return p;
}

uint8_t *random_bytes(ptrdiff_t n, int below) {
    uint8_t *p = blank_bytes(n);
    for (ptrdiff_t i = 0; i < n; i++) p[i] = (uint8_t)random_below(below);
    return p;
}

float *copy(const float *x, ptrdiff_t n) { return memcpy(blank(n), x, (size_t)n * sizeof *x); }

double activated(int kind, double x) {
    switch (kind) {
    case DLC_RELU: return x < 0 ? 0 : x;
    case DLC_RELU6: return x < 0 ? 0 : x > 6 ? 6 : x;
    case DLC_SIGMOID: return 1 / (1 + exp(-x));
    case DLC_TANH: return tanh(x);
    default: return x;
    }
}

/* ---- comparison */

static int fails(void) {
    failures++;
    return failures_of_word++ < 5;
}

static int close_to(double got, double want, double tolerance) {
    if (isnan(want)) return isnan(got);
    if (tolerance == 0 || isinf(want)) return got == (double)(float)want;
    return fabs(got - want) <= tolerance * (fabs(want) > 1 ? fabs(want) : 1);
}

void expect_one(const char *what, double got, double want, double tolerance) {
    if (!close_to(got, want, tolerance) && fails())
        printf("%s %s: %s is %.9g instead of %.9g\n", now_isa, now_word, what, got, want);
}

void expect(const char *what, const float *got, const double *want, ptrdiff_t n, double tolerance) {
    for (ptrdiff_t i = 0; i < n; i++)
        if (!close_to(got[i], want[i], tolerance)) {
            if (fails())
                printf("%s %s: %s[%td] of %td is %.9g instead of %.9g\n", now_isa, now_word, what, i, n, got[i], want[i]);
            return;
        }
}

void expect_bytes(const char *what, const uint8_t *got, const uint8_t *want, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++)
        if (got[i] != want[i]) {
            if (fails())
                printf("%s %s: %s[%td] of %td is %d instead of %d\n", now_isa, now_word, what, i, n, got[i], want[i]);
            return;
        }
}

/* ---- running */

static int is_tested(size_t at) {
    for (int f = 0; f < FAMILIES; f++)
        for (const word *w = families[f]; w->name; w++)
            if (w->at == at) return 1;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i] / sizeof(void *) * sizeof(void *) == at) return 1;
    return 0;
}

/* Every pointer of the struct must be somebody's word: a new one without a test is found by its place. */
static void check_all_are_tested(void) {
    const char *after = "isa";
    for (size_t at = 0; at < sizeof(dlc_tiles); at += sizeof(void *)) {
        for (int f = 0; f < FAMILIES; f++)
            for (const word *w = families[f]; w->name; w++)
                if (w->at + sizeof(void *) == at) after = w->name;
        if (!is_tested(at)) {
            printf("dlc_tiles has a word at byte %zu, after `%s`, that tests/csrc does not test\n", at, after);
            failures++;
        }
    }
}

static void run(const dlc_tiles *t) {
    int count = 0;
    now_isa = t->isa;
    for (int f = 0; f < FAMILIES; f++)
        for (const word *w = families[f]; w->name; w++, count++) {
            now_word = w->name;
            state = w->at;
            failures_of_word = 0;
            w->test(t);
            release();
        }
    printf("%s: %d words of width %d\n", t->isa, count, t->width);
}

int main(int count, char **names) {
    check_all_are_tested();
    if (count > 1) {
        for (int i = 1; i < count; i++) {
            const dlc_tiles *t = dlc_find(names[i]);
            if (t) run(t);
            else printf("%s cannot be used here\n", names[i]), failures++;
        }
    } else {
        for (int i = 0; dlc_isas[i]; i++)
            if (dlc_find(dlc_isas[i])) run(dlc_find(dlc_isas[i]));
    }
    if (failures) printf("%d failures\n", failures);
    return failures != 0;
}
