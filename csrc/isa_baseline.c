#define DLC_ISA baseline
#include "tiles.inc"
