#include "morgana/driver/requirements.hpp"

#include <fmt/format.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <utility>

#include "requirements/cache.hpp"
#include "requirements/reader/answer.hpp"
#include "requirements/reader_process.hpp"

namespace morgana::driver {
namespace {

/// Everything the answer depends on but the files that were read: the request itself, the bytes of the entry
/// point, so that going back to an older version of it finds the older answer, and the reader's own build.
outcome<std::string> cache_key(std::filesystem::path const& reader, std::string_view request,
                               std::filesystem::path const& entry) {
  std::error_code error;
  auto const size = std::filesystem::file_size(reader, error);
  if (error) {
    return fail({.code = "missing-tool",
                 .message = fmt::format("{} is missing", reader.string()),
                 .help = {"it is a part of Morgana: build or install Morgana again"}});
  }
  auto const time = std::filesystem::last_write_time(reader, error).time_since_epoch().count();
  auto key = fmt::format("{} {} {}\n{}\n", reader.string(), size, time, request);
  if (!entry.empty()) {
    std::ifstream file(entry, std::ios::binary);
    if (!file) {
      return fail({.code = "missing-file",
                   .message = fmt::format("cannot read the entry point {}", entry.string()),
                   .where = source_location{.file = entry},
                   .help = {"it declares the application's entry point: task<> start(...);"}});
    }
    key.append(std::istreambuf_iterator<char>(file), {});
  }
  return key;
}

outcome<reader_answer> ask(requirement_input const& input, reader_request request) {
  for (auto const& folder : input.include) request.include.push_back(std::filesystem::absolute(folder));
  request.flags = input.flags;
  auto const reader = input.reader.empty() ? default_reader() : input.reader;
  auto key = cache_key(reader, to_json_text(request), request.entry);
  if (!key) return fail(std::move(key));
  if (!input.cache.empty()) {
    if (auto const found = load_answer(input.cache, *key)) {
      if (auto answer = read_answer(*found)) return *std::move(answer);
    }
  }

  request.device_concepts = input.device_concepts;
  auto const started = std::chrono::system_clock::now();
  auto printed = run_reader(reader, to_json_text(request));
  if (!printed) return fail(std::move(printed));
  auto answer = read_answer(*printed);
  if (!answer) {
    return fail({.code = "parser-failed",
                 .message = fmt::format("{} printed something that is no answer", reader.filename().string()),
                 .help = {"it may belong to another version of Morgana: build or install Morgana again"}});
  }
  // A failure is not stored: what would cure it, a file that does not exist yet, leaves no trace in `files`.
  if (!answer->errors.empty()) return std::unexpected(std::move(answer->errors));
  auto const files = std::exchange(answer->files, {});
  if (!input.cache.empty()) store_answer(input.cache, *key, files, started, to_json_text(*answer));
  return *std::move(answer);
}

}  // namespace

outcome<requirements> read_requirements(requirement_input const& input) {
  reader_request request;
  request.entry = std::filesystem::absolute(input.entry).lexically_normal();
  auto answer = ask(input, std::move(request));
  if (!answer) return fail(std::move(answer));
  return std::move(answer->needs);
}

outcome<std::vector<option_struct>> read_option_structs(requirement_input const& input,
                                                        std::vector<option_struct_query> const& queries) {
  if (queries.empty()) return {};
  // The entry point has no say in them, so applications share these answers.
  reader_request request;
  request.queries = queries;
  auto answer = ask(input, std::move(request));
  if (!answer) return fail(std::move(answer));
  return std::move(answer->structs);
}

}  // namespace morgana::driver
