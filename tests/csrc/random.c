#include "check.h"

/* known answers of Random123, kat_vectors: philox4x32, 10 rounds */
static void test_random_words(const dlc_tiles *t) {
    static const struct { uint64_t counter; uint32_t layer, step; uint64_t seed; uint32_t words[4]; } known[] = {
        {0, 0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x85a308d3243f6a88, 0x13198a2e, 0x03707344, 0x299f31d0a4093822, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t words[4];
        t->random_words(known[i].counter, known[i].layer, known[i].step, known[i].seed, words);
        for (int k = 0; k < 4; k++) expect_one("word", words[k], known[i].words[k], 1e-15);
    }
}

static uint32_t word_of(const dlc_tiles *t, uint64_t element) {
    uint32_t words[4];
    t->random_words(element / 4, 7, 11, 0x123456789abcdef0, words);
    return words[element % 4];
}

static void test_dropout(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES) EACH(uint64_t, first, 0, 5, 33, ((uint64_t)1 << 34) - 3) {
        const float *x = quarters(n);
        float *y = blank(n);
        double *want = doubles(n);
        for (ptrdiff_t i = 0; i < n; i++) want[i] = word_of(t, first + (uint64_t)i) >= 0x60000000u ? 1.5 * x[i] : 0;
        t->dropout(x, y, n, first, 7, 11, 0x123456789abcdef0, 0x60000000u, 1.5f);
        expect("y", y, want, n, 0);
    }
}

/* Box & Muller of a pair of words */
static double normal(const dlc_tiles *t, uint64_t element) {
    const uint64_t pair = element & ~(uint64_t)1;
    const double u = (word_of(t, pair) / 2 + 0.5) / 2147483648.0, turn = 2 * M_PI * (word_of(t, pair + 1) >> 8) / 16777216.0;
    return sqrt(-2 * log(u)) * (element % 2 ? sin(turn) : cos(turn));
}

static void test_gaussian(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES) EACH(uint64_t, first, 0, 5, 63) EACH(int, multiply, 0, 1) {
        const float *x = quarters(n);
        float *y = blank(n);
        double *want = doubles(n);
        for (ptrdiff_t i = 0; i < n; i++) {
            const double z = 0.5 * normal(t, first + (uint64_t)i);
            want[i] = multiply ? x[i] * (1 + z) : x[i] + z;
        }
        t->gaussian(x, y, n, first, 7, 11, 0x123456789abcdef0, 0.5f, multiply);
        expect("y", y, want, n, 5e-6);
    }
}

const word random_words_[] = {WORD(random_words), WORD(dropout), WORD(gaussian), {0}};
