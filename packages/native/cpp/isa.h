// Which instruction sets this binary holds and this processor runs.
#pragma once
#include <string>
#include <vector>

#include "kernel-table.h"

namespace relufy {

/** Kernel tables that run here, the fastest first; never empty. */
const std::vector<const KernelTable*>& runnableTables();

/** The table of that name, or null. */
const KernelTable* findTable(const std::string& name);

}  // namespace relufy
