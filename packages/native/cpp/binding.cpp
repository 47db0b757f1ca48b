// What JavaScript calls, in plain Node-API: memory, programs, steps. src/binding.ts has the types of these calls and is
// their only caller, so arguments are not checked here. Owns handles and promises; computes nothing.
#include <node_api.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "generated/ops.h"
#include "isa.h"
#include "library.h"
#include "memory.h"
#include "row-file.h"
#include "team.h"

namespace relufy {
namespace {

/** The line from the team to one JavaScript thread. Its lock makes a step that ends while the thread dies harmless. */
struct Line {
  std::mutex mutex;
  napi_threadsafe_function function = nullptr;
  int pending = 0;
};

struct Environment {
  std::shared_ptr<Line> line = std::make_shared<Line>();
  std::vector<std::shared_ptr<Team>> joined;
};

struct Program {
  std::shared_ptr<Memory> memory;
  std::vector<uint32_t> words;
  const KernelTable* kernels;
  std::shared_ptr<Team> team;
  int threads;
  bool everyThread = false;
  size_t scratchBytes;
  size_t sharedBytes;
};

struct Job : Step {
  std::shared_ptr<Memory> memory;
  std::shared_ptr<Line> line;
  std::shared_ptr<const Program> program;
  napi_deferred deferred;
  bool measured = false;
  std::vector<double> opTimes;
};

Environment* environment(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return static_cast<Environment*>(data);
}

std::vector<napi_value> arguments(napi_env env, napi_callback_info info, size_t count) {
  std::vector<napi_value> values(count);
  napi_get_cb_info(env, info, &count, values.data(), nullptr, nullptr);
  return values;
}

int64_t integer(napi_env env, napi_value value) {
  int64_t number = 0;
  napi_get_value_int64(env, value, &number);
  return number;
}

napi_value boolean(napi_env env, bool value) {
  napi_value result;
  napi_get_boolean(env, value, &result);
  return result;
}

napi_value undefined(napi_env env) {
  napi_value result;
  napi_get_undefined(env, &result);
  return result;
}

napi_value text(napi_env env, const char* value) {
  napi_value result;
  napi_create_string_utf8(env, value, NAPI_AUTO_LENGTH, &result);
  return result;
}

/** A handle that keeps a shared object alive until JavaScript forgets it. */
template <class T>
napi_value wrap(napi_env env, std::shared_ptr<T> object) {
  napi_value result;
  const auto forget = [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<T>*>(data); };
  napi_create_external(env, new std::shared_ptr<T>(std::move(object)), forget, nullptr, &result);
  return result;
}

template <class T>
std::shared_ptr<T>& unwrap(napi_env env, napi_value value) {
  void* data = nullptr;
  napi_get_value_external(env, value, &data);
  return *static_cast<std::shared_ptr<T>*>(data);
}

// ---- memory

/** reserve(bytes): a memory, or undefined when the system has no such stretch of addresses. */
napi_value reserveMemory(napi_env env, napi_callback_info info) {
  const auto args = arguments(env, info, 1);
  std::shared_ptr<Memory> memory = Memory::reserve(static_cast<size_t>(integer(env, args[0])));
  return memory == nullptr ? undefined(env) : wrap(env, std::move(memory));
}

/** commit(memory, bytes): whether the first so many bytes can be used now. */
napi_value commitMemory(napi_env env, napi_callback_info info) {
  const auto args = arguments(env, info, 2);
  return boolean(env, unwrap<Memory>(env, args[0])->commit(static_cast<size_t>(integer(env, args[1]))));
}

/** map(memory, path): where the file begins, counted from the base; or, as a negative number, the system's error. */
napi_value mapFile(napi_env env, napi_callback_info info) {
  const auto args = arguments(env, info, 2);
  size_t length = 0;
  napi_get_value_string_utf8(env, args[1], nullptr, 0, &length);
  std::string path(length + 1, '\0');
  napi_get_value_string_utf8(env, args[1], path.data(), path.size(), &length);
  errno = 0;
  const size_t place = unwrap<Memory>(env, args[0])->map(path.c_str());
  napi_value result;
  napi_create_double(env, place != 0 ? static_cast<double>(place) : -static_cast<double>(errno != 0 ? errno : EINVAL), &result);
  return result;
}

/** settle(memory): see Memory::settle. */
napi_value settleMemory(napi_env env, napi_callback_info info) {
  Memory::settle(unwrap<Memory>(env, arguments(env, info, 1)[0]));
  return undefined(env);
}

/** view(memory, offset, bytes): an ArrayBuffer over a part of it, or undefined where the engine allows none. */
napi_value viewMemory(napi_env env, napi_callback_info info) {
  const auto args = arguments(env, info, 3);
  const std::shared_ptr<Memory>& memory = unwrap<Memory>(env, args[0]);
  const auto drop = [](napi_env, void*, void* hint) {
    auto* held = static_cast<std::shared_ptr<Memory>*>(hint);
    (*held)->dropView();
    delete held;
  };
  auto* held = new std::shared_ptr<Memory>(memory);
  memory->addView();
  napi_value buffer;
  const napi_status status = napi_create_external_arraybuffer(
      env, memory->base() + integer(env, args[1]), static_cast<size_t>(integer(env, args[2])), drop, held, &buffer);
  if (status == napi_ok) return buffer;
  memory->dropView();
  delete held;
  return undefined(env);
}

/** detach(arrayBuffer): it has no bytes from now on. */
napi_value detachView(napi_env env, napi_callback_info info) {
  const auto args = arguments(env, info, 1);
  napi_detach_arraybuffer(env, args[0]);
  return undefined(env);
}

/** close(memory): gives it back; no step may run on it, and no view may be used. */
napi_value closeMemory(napi_env env, napi_callback_info info) {
  const auto args = arguments(env, info, 1);
  unwrap<Memory>(env, args[0])->close();
  return undefined(env);
}

/** openForRows(file): a file that the steps read rows of; false where this system cannot. */
napi_value prepareRows(napi_env env, napi_callback_info info) {
  openForRows(integer(env, arguments(env, info, 1)[0]));
  return boolean(env, canReadRows);
}

/** forgetPages(file): see row-file.h. */
napi_value forgetFilePages(napi_env env, napi_callback_info info) {
  forgetPages(integer(env, arguments(env, info, 1)[0]));
  return undefined(env);
}

// ---- steps

/** program(memory, team, words, isa, maxRows, threads, everyThread): records to run on that memory by so many threads. */
napi_value createProgram(napi_env env, napi_callback_info info) {
  const auto args = arguments(env, info, 7);
  auto program = std::make_shared<Program>();
  program->memory = unwrap<Memory>(env, args[0]);
  program->team = unwrap<Team>(env, args[1]);
  size_t length = 0;
  void* words = nullptr;
  napi_get_typedarray_info(env, args[2], nullptr, &length, &words, nullptr, nullptr);
  program->words.assign(static_cast<uint32_t*>(words), static_cast<uint32_t*>(words) + length);
  char name[32] = "";
  napi_get_value_string_utf8(env, args[3], name, sizeof name, nullptr);
  program->kernels = findTable(name);
  const int maxRows = static_cast<int>(integer(env, args[4]));
  program->threads = static_cast<int>(integer(env, args[5]));
  napi_get_value_bool(env, args[6], &program->everyThread);
  program->scratchBytes = 64;
  program->sharedBytes = 0;
  for (size_t at = 0; at < length; at += recordWords) {
    const Record op = {program->words.data() + at, nullptr};
    // fewer threads have larger shares, and one may do a step alone
    const size_t bytes = program->kernels->scratchBytes(op, maxRows, program->everyThread ? program->threads : 1);
    if (bytes > program->scratchBytes) program->scratchBytes = bytes;
    const size_t shared = program->kernels->sharedBytes(op);
    if (shared > program->sharedBytes) program->sharedBytes = shared;
  }
  return wrap(env, std::move(program));
}

/** On the team: sends a finished step to its JavaScript thread. */
void report(Step* step) {
  Job* job = static_cast<Job*>(step);
  const std::shared_ptr<Line> line = job->line;
  const std::lock_guard<std::mutex> lock(line->mutex);
  if (line->function == nullptr || napi_call_threadsafe_function(line->function, job, napi_tsfn_nonblocking) != napi_ok)
    delete job;
}

/** On the JavaScript thread: resolves the promise, with the milliseconds of each op where they were asked for. */
void settle(napi_env env, napi_value, void*, void* data) {
  const std::unique_ptr<Job> job(static_cast<Job*>(data));
  if (env == nullptr) return;
  napi_value result = undefined(env);
  if (job->measured) {
    void* to = nullptr;
    napi_value buffer;
    const size_t count = job->opTimes.size();
    napi_create_arraybuffer(env, count * sizeof(double), &to, &buffer);
    if (count > 0) memcpy(to, job->opTimes.data(), count * sizeof(double));
    napi_create_typedarray(env, napi_float64_array, count, buffer, 0, &result);
  }
  napi_resolve_deferred(env, job->deferred, result);
  if (--job->line->pending == 0) napi_unref_threadsafe_function(env, job->line->function);
}

/** run(program, from, to, rows, outputs, measured): a promise of a step. It keeps the process alive while it runs. */
napi_value runProgram(napi_env env, napi_callback_info info) {
  const auto args = arguments(env, info, 6);
  const std::shared_ptr<const Program> program = unwrap<Program>(env, args[0]);
  auto* job = new Job;
  job->program = program;
  job->memory = program->memory;
  job->line = environment(env)->line;
  job->kernels = program->kernels;
  job->words = program->words.data();
  job->base = program->memory->base();
  job->from = static_cast<int>(integer(env, args[1]));
  job->to = static_cast<int>(integer(env, args[2]));
  job->rows = static_cast<int>(integer(env, args[3]));
  job->outputs = static_cast<int>(integer(env, args[4]));
  job->threads = program->threads;
  job->everyThread = program->everyThread;
  job->scratchBytes = program->scratchBytes;
  job->sharedBytes = program->sharedBytes;
  napi_get_value_bool(env, args[5], &job->measured);
  if (job->measured) job->opTimes.resize(static_cast<size_t>(job->to - job->from));
  job->times = job->opTimes.data();
  job->done = report;
  napi_value promise;
  napi_create_promise(env, &job->deferred, &promise);
  if (job->line->pending++ == 0) napi_ref_threadsafe_function(env, job->line->function);
  program->team->submit(job);
  return promise;
}

/** join(threads): the process's team, or undefined when the system gives no more threads. */
napi_value joinTeam(napi_env env, napi_callback_info info) {
  const auto args = arguments(env, info, 1);
  std::shared_ptr<Team> team = Team::join(static_cast<int>(integer(env, args[0])));
  if (team == nullptr) return undefined(env);
  environment(env)->joined.push_back(team);
  return wrap(env, std::move(team));
}

/** leave(team): undoes one join. */
napi_value leaveTeam(napi_env env, napi_callback_info info) {
  const auto args = arguments(env, info, 1);
  const std::shared_ptr<Team> team = unwrap<Team>(env, args[0]);
  auto& joined = environment(env)->joined;
  for (auto at = joined.begin(); at != joined.end(); ++at)
    if (*at == team) {
      joined.erase(at);
      team->leave();
      break;
    }
  return undefined(env);
}

// ---- start and end

/** Before the thread-safe function dies with its environment (hooks run in reverse order). */
void hangUp(void* data) {
  auto* own = static_cast<Environment*>(data);
  {
    const std::lock_guard<std::mutex> lock(own->line->mutex);
    own->line->function = nullptr;
  }
  for (const auto& team : own->joined) team->leave();
  own->joined.clear();
}

void define(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
  napi_set_named_property(env, exports, name, function);
}

napi_value start(napi_env env, napi_value exports) {
  // threads of the team run code of this library: it must stay when the JavaScript thread that loaded it ends
  stayLoaded();
  auto* own = new Environment;
  napi_set_instance_data(env, own, [](napi_env, void* data, void*) { delete static_cast<Environment*>(data); }, nullptr);
  napi_create_threadsafe_function(
      env, nullptr, nullptr, text(env, "relufy"), 0, 1, nullptr, nullptr, nullptr, settle, &own->line->function);
  napi_unref_threadsafe_function(env, own->line->function);
  napi_add_env_cleanup_hook(env, hangUp, own);

  napi_set_named_property(env, exports, "abi", text(env, RELUFY_ABI));
  napi_value isas;
  napi_create_array(env, &isas);
  uint32_t index = 0;
  for (const KernelTable* table : runnableTables()) napi_set_element(env, isas, index++, text(env, table->name));
  napi_set_named_property(env, exports, "isas", isas);
  napi_value ops;
  napi_create_array(env, &ops);
  uint32_t count = 0;
  for (int code = 0; code < opCodes; code++)
    if (runnableTables().back()->kernels[code] != nullptr) {
      napi_value value;
      napi_create_int32(env, code, &value);
      napi_set_element(env, ops, count++, value);
    }
  napi_set_named_property(env, exports, "ops", ops);
  define(env, exports, "reserve", reserveMemory);
  define(env, exports, "commit", commitMemory);
  define(env, exports, "map", mapFile);
  define(env, exports, "settle", settleMemory);
  define(env, exports, "openForRows", prepareRows);
  define(env, exports, "forgetPages", forgetFilePages);
  define(env, exports, "view", viewMemory);
  define(env, exports, "detach", detachView);
  define(env, exports, "close", closeMemory);
  define(env, exports, "program", createProgram);
  define(env, exports, "run", runProgram);
  define(env, exports, "join", joinTeam);
  define(env, exports, "leave", leaveTeam);
  return exports;
}

}  // namespace
}  // namespace relufy

NAPI_MODULE_INIT() { return relufy::start(env, exports); }
