#include "entropy_dialogue.hpp"

#include <array>

namespace morgana::xen {

bool entropy_dialogue::speak(byte_ring& output) {
  auto const size = output.write(std::as_bytes(std::span(greeting.substr(said_))));
  said_ += size;
  is_broken_ = is_broken_ || output.is_broken();
  return size != 0;
}

entropy_dialogue::heard entropy_dialogue::listen(byte_ring& input, std::span<std::byte> into) {
  heard out;
  while (!is_broken_ && matched_ < answer.size()) {
    std::array<std::byte, 1> next;
    if (input.read(next) == 0) break;
    out.was_taken = true;
    auto const letter = static_cast<char>(next[0]);
    if (letter == answer[matched_]) {
      ++matched_;
      continue;
    }
    // The answer's first letter comes once in it, so that nothing that was matched can begin another match.
    skipped_ += matched_;
    matched_ = letter == answer[0] ? 1 : 0;
    if (matched_ == 0) ++skipped_;
    is_broken_ = skipped_ > skipped_bytes_max;
  }
  if (!is_broken_ && matched_ == answer.size()) out.bytes = input.read(into);
  is_broken_ = is_broken_ || input.is_broken();
  out.was_taken = out.was_taken || out.bytes != 0;
  return out;
}

}  // namespace morgana::xen
