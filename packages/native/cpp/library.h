// This binary as the system's loader holds it.
#pragma once

namespace relufy {

/** From now on it stays loaded until the process ends. */
void stayLoaded();

}  // namespace relufy
