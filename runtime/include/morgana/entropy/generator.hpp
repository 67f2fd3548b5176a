// The random generator of a guest whose platform has sources of randomness but no generator of its own: one
// for the whole image, since its catalogue entry is shared by all that need random_generator.
//
// connect() takes what the platform's sources have at once. A source is believed only as far as its credit
// goes (platform.hpp); together they must reach 256 bits, else fill() is core_error::not_seeded and the log
// says which sources there were. seeded() tries on until its deadline. While it runs it takes a sample once a
// second of use; after the guest was resumed, maybe as one of several copies, it gives nothing before it was
// seeded anew.
//
// `late_generator` has one source more, a device (Xen's console channel, a board's device tree) that it asks
// in seeded(), and in connect() where the platform's sources are not enough.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "morgana/core/context.hpp"
#include "morgana/core/deadline.hpp"
#include "morgana/core/random.hpp"
#include "morgana/core/result.hpp"
#include "morgana/core/task.hpp"
#include "morgana/core/time.hpp"
#include "morgana/entropy/key_pool.hpp"

namespace morgana::entropy {

class generator {
 public:
  explicit generator(context& in);
  static task<result<std::unique_ptr<generator>>> connect(context& in);

  /// Waits until there is enough randomness. core_error::not_seeded: at once where no source can ever give
  /// enough, else when the deadline passes.
  [[nodiscard]] task<result<void>> seeded(instant deadline);
  /// core_error::not_seeded: never weaker bytes.
  [[nodiscard]] result<void> fill(std::span<std::byte> into);

  /// For a source that is a device.
  void mix(std::span<std::byte const> sample, std::uint64_t credit_millibits);
  [[nodiscard]] bool is_seeded() const { return pool_.is_seeded(); }
  [[nodiscard]] std::uint64_t seedings() const { return pool_.seedings(); }
  /// Another one may have our state since a resume: seeds anew from what the platform has at once.
  void notice_resume();
  void say_that_nothing_is_there() const;

 private:
  /// Samples every source of the platform: once, or until the pool is seeded or the source has no more.
  void gather(bool until_seeded);

  context* context_;
  key_pool pool_;
  std::uint64_t generation_;
  instant sampled_at_;
};

static_assert(random_generator<generator>);

/// With a source that may take its time. What it gives is mixed in even where the platform has enough, so
/// that one bad source is not all there is; but it is never needed there. Where the platform has not, a resumed guest
/// gets nothing before seeded() has asked the source again.
template <entropy_source Source>
class late_generator {
 public:
  /// For a source beside others that are enough.
  static constexpr duration optional_wait = 500ms;
  /// In connect(), for one that is needed.
  static constexpr duration boot_wait = 3s;

  late_generator(context& in, Source& source) : inner_(in), source_(&source), context_(&in) {}
  static task<result<std::unique_ptr<late_generator>>> connect(context& in, Source& source) {
    auto made = std::make_unique<late_generator>(in, source);
    if (!made->inner_.is_seeded() && !co_await made->seeded(after(in.now(), boot_wait)))
      made->inner_.say_that_nothing_is_there();
    co_return made;
  }

  [[nodiscard]] task<result<void>> seeded(instant deadline) {
    inner_.notice_resume();
    std::array<std::byte, 64> sample;
    auto const until =
        inner_.is_seeded() ? std::min(deadline, after(context_->now(), optional_wait)) : deadline;
    do {
      auto const count = co_await source_->sample(sample, until);
      if (!count || *count == 0) break;
      inner_.mix(std::span(sample).first(*count), *count * source_->millibits_per_byte());
    } while (!inner_.is_seeded());
    if (inner_.is_seeded()) co_return {};
    co_return co_await inner_.seeded(deadline);
  }
  [[nodiscard]] result<void> fill(std::span<std::byte> into) { return inner_.fill(into); }

 private:
  generator inner_;
  Source* source_;
  context* context_;
};

}  // namespace morgana::entropy
