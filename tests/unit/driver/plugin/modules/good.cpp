// A plugin as an author writes it.
#include "morgana/plugin/plugin.hpp"

#include <stdexcept>

using namespace morgana::plugin;

namespace {

class good_plugin final : public plugin {
 public:
  response describe(std::string_view) override {
    return ok({{"capabilities", {"console"}}, {"verbs", {"describe", "lower", "command:greet"}}});
  }
  response check_host(std::string_view) override {
    return ok(R"({"problems":[{"message":"no KVM","help":"modprobe kvm"}]})");
  }
  response lower(std::string_view) override {
    return failed("no-slot", "the \"board\" has no slot for `disk`\n", {"take another board"});
  }
  response package(std::string_view request) override {
    return ok({{"artefacts", {{"copy", parse(request)["image"]}}}});
  }
  response command(std::string_view name, std::string_view request) override {
    if (name == "throw") throw std::runtime_error("thrown on purpose");
    if (name == "throw-number") throw 7;
    if (name != "greet") return unknown_verb();
    return ok({{"exit", 3}, {"output", "hello " + parse(request)["arguments"][0].get<std::string>()}});
  }
};

}  // namespace

MORGANA_PLUGIN(good_plugin)
