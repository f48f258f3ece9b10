#define DLC_ISA baseline
#define DLC_PORTABLE /* on aarch64 the compiler always has NEON */
#include "tiles.inc"
