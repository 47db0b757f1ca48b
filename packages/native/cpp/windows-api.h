// The Windows API, without its macros min and max and without the parts that nothing here uses. Windows 10 and newer.
#pragma once
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#undef _WIN32_WINNT
#define _WIN32_WINNT 0x0A00
#include <windows.h>
