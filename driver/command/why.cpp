// `morgana why THING`.
#include "command/commands.hpp"
#include "morgana/driver/answers.hpp"

namespace morgana::driver {

int why_command(output& out, why_arguments const& with) {
  auto what = ensure_values(out, with.place);
  if (!what) return out.report(what.error());
  auto said = why_chosen(*what, with.thing);
  if (!said) {
    if (auto state = ensure_built(out, with.place); !state) return out.report(state.error());
    auto linked = why_linked(*what, with.thing);
    if (!linked) return out.report(linked.error());
    said = *std::move(linked);
  }
  out.result(said->text, said->json);
  return exit_code::done;
}

}  // namespace morgana::driver
