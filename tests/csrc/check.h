/* What the tests of the words share: memory whose end is the end of the world, numbers whose sums are exact, comparison. */
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "dlcore.h"

/* A word of the table and its test, which calls it for many sizes. A family is an array of them that ends in {0}; main.c
 * lists the families, and a word that is in none of them is a failure. */
typedef struct {
    const char *name;
    size_t at; /* in dlc_tiles */
    void (*test)(const dlc_tiles *t);
} word;
#define WORD(name) {#name, offsetof(dlc_tiles, name), test_##name}
#define WORD_BY(name, test) {#name, offsetof(dlc_tiles, name), test} /* one test of several words */

/* for (i in ...); nests */
#define EACH(type, i, ...) \
    for (type *i##_ = (type[]){__VA_ARGS__}, *i##_end = i##_ + sizeof((type[]){__VA_ARGS__}) / sizeof(type), i; \
         i##_ < i##_end && (i = *i##_, 1); i##_++)

/* Sizes around all vector widths, and one of several vectors and a rest. */
#define SIZES 0, 1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 31, 33, 127

/* All live until the word's test ends. A page that nobody may touch follows the last element; NaN are in `blank`. */
float *blank(ptrdiff_t n);
uint8_t *blank_bytes(ptrdiff_t n);
float *quarters(ptrdiff_t n);           /* random multiples of 1/4 in [-4, 4]: products and sums of a few hundred are exact */
float *uniform(ptrdiff_t n, double low, double high);
float *wild(ptrdiff_t n);               /* quarters, some of them NaN, infinite, -0 */
uint8_t *random_bytes(ptrdiff_t n, int below);
double *doubles(ptrdiff_t n);           /* zeros */
ptrdiff_t random_below(ptrdiff_t n);
float *copy(const float *x, ptrdiff_t n);
void release(void);                     /* before the test ends, where it has thousands of cases */

/* Says what differs, `tolerance` relative to the larger of |want| and 1; 0 asks for the very number. A NaN is a NaN. */
void expect(const char *what, const float *got, const double *want, ptrdiff_t n, double tolerance);
void expect_one(const char *what, double got, double want, double tolerance);
void expect_bytes(const char *what, const uint8_t *got, const uint8_t *want, ptrdiff_t n);

/* the table's own functions, in double */
double activated(int kind, double x);
static inline double greater(double a, double b) { return a > b || isnan(a) ? a : b; } /* a NaN before all */

#endif
