"""What setup.py writes into dlcore/_build_config.py when it builds the extensions."""

COMPILER: str  # first line of `cc --version`
CFLAGS: list[str]
LDFLAGS: list[str]
ISAS: dict[str, list[str]]  # instruction set of csrc/isa_<name>.c -> its own flags
OPENMP: bool
OPENMP_FLAGS: list[str]
DEBUG: bool
SOURCE_SHA256: str  # of *.pyx, *.pxd and csrc/
