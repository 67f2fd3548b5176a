#include "morgana/sim/recorder.hpp"

#include <errno.h>

#include "host.hpp"
#include "morgana/storage/error.hpp"

namespace morgana::sim {

static_assert(morgana::recorder<recorder>);

task<result<recorder>> recorder::connect(context&) {
  co_return recorder();
}

result<recorder::recording> recorder::begin(std::string_view name) {
  auto const number = simulator->begin_recording(simulator->self, text(name));
  if (number < 0) return failure(storage::storage_error::input_output, -number);
  return recording(number);
}

recorder::recording::~recording() {
  if (number_ >= 0) simulator->end_recording(simulator->self, number_);
}

result<void> recorder::recording::append(std::span<std::span<std::byte const> const> parts) {
  morgana_sim_part out[32];
  std::size_t count = 0;
  for (auto const& part : parts) {
    if (count == std::size(out)) return failure(storage::storage_error::input_output, EINVAL);
    out[count++] = {.data = part.data(), .size = part.size()};
  }
  auto const number = simulator->append_recording(simulator->self, number_, out, count);
  if (number != 0) return failure(storage::storage_error::input_output, number);
  return {};
}

}  // namespace morgana::sim
