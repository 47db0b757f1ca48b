// How a library says that it must not be unloaded: on Linux and macOS by opening itself once more, on Windows by pinning.
#include "library.h"

#if defined(_WIN32)
#include "windows-api.h"
#else
#include <dlfcn.h>
#endif

namespace relufy {

void stayLoaded() {
#if defined(_WIN32)
  HMODULE self;
  GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
                     reinterpret_cast<LPCWSTR>(&stayLoaded), &self);
#else
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&stayLoaded), &info) != 0 && info.dli_fname != nullptr)
    dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE);
#endif
}

}  // namespace relufy
