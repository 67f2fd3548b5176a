#include "morgana/entropy/generator.hpp"

#include <algorithm>

#include "morgana/core/entropy_sources.hpp"
#include "morgana/core/log.hpp"

namespace morgana::entropy {
namespace {

/// Of one source, for one seeding: RDRAND's credit is 62 thousandths of a bit for a byte.
constexpr std::size_t source_bytes_max = 8192;
constexpr duration sample_interval = 1s;
constexpr duration retry_interval = 10ms;
constexpr std::uint32_t device_source = 1000;

bool can_seed() {
  return std::ranges::any_of(morgana::entropy_sources(),
                             [](auto const& source) { return source.millibits_per_byte != 0; });
}

}  // namespace

generator::generator(context& in)
    : context_(&in), generation_(morgana::resume_generation()), sampled_at_(in.now()) {
  gather(true);
}

task<result<std::unique_ptr<generator>>> generator::connect(context& in) {
  auto out = std::make_unique<generator>(in);
  if (!out->is_seeded() && !can_seed()) out->say_that_nothing_is_there();
  co_return out;
}

void generator::say_that_nothing_is_there() const {
  auto const log = log_source(context_->log(), "entropy");
  log.error("this machine has no source of randomness that counts: nothing gets random bytes");
  for (auto const& source : morgana::entropy_sources()) log.info("{} counts for nothing", source.name);
}

void generator::gather(bool until_seeded) {
  sampled_at_ = context_->now();
  auto const before = pool_.seedings();
  std::array<std::byte, 64> sample;
  std::uint32_t number = 0;
  for (auto const& source : morgana::entropy_sources()) {
    // A source without credit is asked once: it is a help where another is not as good as it says.
    auto const bytes_max = until_seeded && source.millibits_per_byte != 0 && pool_.seedings() == before
                               ? source_bytes_max
                               : sample.size();
    for (std::size_t taken = 0; taken < bytes_max;) {
      auto const count = std::min(source.sample(sample), sample.size());
      if (count == 0) break;
      taken += count;
      pool_.mix(number, std::span(sample).first(count), std::uint64_t{count} * source.millibits_per_byte);
      if (pool_.seedings() != before) break;
    }
    ++number;
  }
}

void generator::notice_resume() {
  auto const now = morgana::resume_generation();
  if (now == generation_) return;
  generation_ = now;
  pool_.distrust();
  gather(true);
}

task<result<void>> generator::seeded(instant deadline) {
  notice_resume();
  while (!pool_.is_seeded()) {
    gather(true);
    if (pool_.is_seeded()) break;
    if (!can_seed() || context_->now() >= deadline) co_return failure(core_error::not_seeded);
    co_await sleep_until(std::min(deadline, after(context_->now(), retry_interval)));
  }
  co_return {};
}

result<void> generator::fill(std::span<std::byte> into) {
  notice_resume();
  if (context_->now() - sampled_at_ >= sample_interval) gather(false);
  return pool_.fill(into);
}

void generator::mix(std::span<std::byte const> sample, std::uint64_t credit_millibits) {
  pool_.mix(device_source, sample, credit_millibits);
}

}  // namespace morgana::entropy
