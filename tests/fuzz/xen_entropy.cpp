// Fuzzes what the other side of the channel of randomness may say and do with the rings: any bytes, any
// indices, at any moment. Nothing is randomness before its answer, nothing is read or written outside of the
// rings, and what is broken stays so.
#include <cstring>
#include <memory>
#include <string>

#include "common/entropy_dialogue.hpp"
#include "common/interface.hpp"
#include "input.hpp"

using namespace morgana::xen;

extern "C" int LLVMFuzzerTestOneInput(unsigned char const* data, std::size_t size) {
  fuzz::input from{{data, size}};
  // On the heap, so that the sanitizer sees what is beside it.
  auto const page = std::make_unique<console_page>();
  std::memset(static_cast<void*>(page.get()), 0, sizeof *page);
  byte_ring output(page->output, page->output_put, page->output_taken);
  byte_ring input(page->input, page->input_taken, page->input_put);
  entropy_dialogue dialogue;
  std::string said;
  auto const say = [&](char letter) {
    page->input[page->input_put % sizeof page->input] = static_cast<std::byte>(letter);
    page->input_put = page->input_put + 1;
    said += letter;
  };
  auto is_answered_as_agreed = true;
  while (!from.empty()) {
    switch (from.take() % 6) {
      case 0:
        is_answered_as_agreed = false;
        page->input_put = from.take32();
        break;
      case 1:
        page->output_taken = from.take32();
        break;
      case 2:
        for (auto const letter : entropy_dialogue::answer) say(letter);
        break;
      case 3:
        for (unsigned count = from.take(); count != 0 && !from.empty(); --count)
          say(static_cast<char>(from.take()));
        break;
      case 4:
        static_cast<void>(dialogue.speak(output));
        break;
      default: {
        auto const into = std::make_unique<std::byte[]>(64);
        auto const was_broken = dialogue.is_broken();
        auto const heard = dialogue.listen(input, {into.get(), 64});
        fuzz::require(heard.bytes <= 64);
        fuzz::require(!was_broken || (heard.bytes == 0 && dialogue.is_broken()));
        fuzz::require(heard.bytes == 0 || !is_answered_as_agreed || said.contains(entropy_dialogue::answer));
      }
    }
  }
  return 0;
}
