#define DLC_ISA avx512
#include "tiles.inc"
