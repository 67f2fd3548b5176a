// From a configuration to Ninja's text.
//
// Ninja runs in the target's build folder. Everything outside it is reached by a link that has one name in
// every build (source_root, package_store/NAME): ThinLTO puts names of sources and archives into what it
// makes, so the same names give the same image wherever application and cache are. Headers are found by
// absolute names, which prefix maps turn into the same relative ones in __FILE__ and debug information.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <ranges>

#include "morgana/driver/plugin_library.hpp"
#include "morgana/driver/workspace.hpp"
#include "package/glob.hpp"
#include "workspace/guest.hpp"
#include "workspace/launch_files.hpp"
#include "workspace/layout.hpp"
#include "workspace/lower.hpp"
#include "workspace/state.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;

/// The application is warned of what we warn ourselves of; only it decides whether that is an error.
constexpr std::array warnings{
    "-Wall",        "-Wextra",           "-Wpedantic",         "-Wshadow",
    "-Wconversion", "-Wsign-conversion", "-Wnon-virtual-dtor", "-Wimplicit-fallthrough"};

struct command_flags {
  std::vector<std::string> relative;  ///< as Ninja uses them
  std::vector<std::string> absolute;  ///< as compile_commands.json does
  std::vector<std::string> cxx;       ///< C++ only
};

/// Flags that C, C++ and assembler share.
command_flags common_flags(configuration const& what) {
  command_flags out;
  auto both = [&](std::string const& flag) {
    out.relative.push_back(flag);
    out.absolute.push_back(flag);
  };
  for (auto const& flag : what.toolchain.flags) both(flag);
  for (auto const& flag : what.toolchain.hot_flags) both(flag);
  for (auto const* flag : warnings) both(flag);
  for (auto const& folder : application_includes(what.app)) {
    auto const below = folder.lexically_relative(what.app.folder);
    auto const is_inside = !below.empty() && *below.begin() != "..";
    auto const name = below == "." ? std::string() : '/' + below.generic_string();
    out.relative.push_back(is_inside ? fmt::format("-I{}{}", layout::application, name)
                                     : "-I" + folder.string());
    out.absolute.push_back("-I" + folder.string());
  }
  // Users before what they require: headers of the C++ library include those of the C library after them.
  for (auto const& package : what.built | std::views::reverse) {
    for (auto const& folder : package.include) {
      both("-isystem");
      both(folder.string());
    }
    for (auto const& folder : package.cxx_include) {
      out.cxx.push_back("-isystem");
      out.cxx.push_back(folder.string());
    }
  }
  out.cxx.insert(out.cxx.begin(), what.toolchain.cxx_flags.begin(), what.toolchain.cxx_flags.end());
  for (auto const& package : what.built) {
    if (!package.source.empty()) {
      out.relative.push_back(fmt::format("-ffile-prefix-map={}={}", package.source.string(), package.prefix));
    }
  }
  out.relative.push_back(fmt::format("-ffile-prefix-map={}=.", what.app.folder.string()));
  out.relative.push_back(fmt::format("-ffile-prefix-map={}=.", layout::application));
  out.relative.push_back("-fdebug-compilation-dir=.");
  // The user's editor wants names it can open; colour is removed by Ninja where nobody sees it.
  out.relative.push_back("-fdiagnostics-absolute-paths");
  out.relative.push_back("-fcolor-diagnostics");
  return out;
}

bool is_c(fs::path const& source) {
  return source.extension() == ".c";
}

class planner {
 public:
  planner(configuration const& what, std::string main_text) : in_(what), main_text_(std::move(main_text)) {}

  outcome<build_plan> make() {
    flags_ = common_flags(in_);
    links();
    if (auto done = rules(); !done) return fail(std::move(done));
    main_and_generated();
    auto launch = launch_files(in_);
    if (!launch) return fail(std::move(launch));
    for (auto& file : *launch) plan_.files.push_back(std::move(file));
    if (auto done = sources(); !done) return fail(std::move(done));
    if (auto done = image(); !done) return fail(std::move(done));
    plan_.compile_commands_path = "../compile_commands.json";
    return std::move(plan_);
  }

 private:
  void links() {
    plan_.files.push_back(
        {.path = layout::application, .text = in_.app.folder.string(), .what = plan_file::kind::link});
    for (auto const& package : in_.built) {
      plan_.files.push_back({.path = fs::path(layout::packages) / package.name,
                             .text = package.root.string(),
                             .what = plan_file::kind::link});
    }
  }

  outcome<void> rules() {
    auto const objcopy = find_llvm_tool("llvm-objcopy");
    if (!objcopy) return std::unexpected(objcopy.error());
    plan_.variables = {{"clang", ninja_word(in_.toolchain.clang.string())},
                       {"clangxx", ninja_word(in_.toolchain.clangxx.string())},
                       {"objcopy", ninja_word(objcopy->string())},
                       {"flags", ninja_words(flags_.relative)},
                       {"c_flags", ninja_words(in_.toolchain.c_flags)},
                       {"cxx_flags", ninja_words(flags_.cxx)}};
    plan_.rules.push_back({.name = "cxx",
                           .command = "$clangxx $cxx_flags $flags $more -MD -MF $out.d -c $in -o $out",
                           .description = "compile $in",
                           .depfile = "$out.d"});
    plan_.rules.push_back({.name = "cc",
                           .command = "$clang $c_flags $flags $more -MD -MF $out.d -c $in -o $out",
                           .description = "compile $in",
                           .depfile = "$out.d"});
    return {};
  }

  /// For people and programs beside the image: the manifest, and which file is what.
  std::string manifest_file(std::string const& manifest) const {
    auto out = nlohmann::ordered_json::parse(manifest);
    out["artefacts"] = in_.state.artefacts;
    return out.dump(2) + '\n';
  }

  void compile(std::string const& source, std::vector<std::string> const& more = {}) {
    auto const object = fmt::format("{}/{}.o", layout::objects, source);
    plan_edge edge{.rule = is_c(source) ? "cc" : "cxx", .outputs = {object}, .inputs = {source}};
    if (!more.empty()) edge.variables.emplace("more", ninja_words(more));
    plan_.edges.push_back(std::move(edge));
    objects_.push_back(object);
  }

  void compile_command_for(fs::path const& file, bool header = false) {
    auto const& tools = in_.toolchain;
    auto const c = is_c(file);
    compile_command out{.directory = in_.build_folder, .file = file};
    out.arguments.push_back((c ? tools.clang : tools.clangxx).string());
    for (auto const& flag : c ? tools.c_flags : flags_.cxx) out.arguments.push_back(flag);
    for (auto const& flag : flags_.absolute) out.arguments.push_back(flag);
    if (header) {
      out.arguments.emplace_back("-x");
      out.arguments.emplace_back("c++");
    }
    out.arguments.emplace_back("-c");
    out.arguments.push_back(file.string());
    plan_.compile_commands.push_back(std::move(out));
  }

  void main_and_generated() {
    plan_.files.push_back({.path = "main.gen.cpp", .text = main_text_});
    compile("main.gen.cpp");
    compile_command_for(in_.app.folder / in_.app.entry.value, true);
    compile_command_for(in_.build_folder / "main.gen.cpp");
    std::vector<linked_package> packages;
    for (auto const& one : in_.packages) {
      packages.push_back(
          {.name = one.what.name.value, .version = one.what.version, .licence = one.what.licence});
    }
    plan_.files.push_back({.path = "build_info.gen.cpp", .text = build_info_source(packages)});
    compile("build_info.gen.cpp");
    auto const manifest = manifest_text({.name = in_.app.name.value,
                                         .target = in_.on.name,
                                         .driver_version = std::string(morgana_version),
                                         .graph = &in_.graph,
                                         .options = &in_.options,
                                         .packages = std::move(packages)});
    plan_.files.push_back({.path = "manifest.gen.cpp", .text = manifest_source(manifest)});
    compile("manifest.gen.cpp");
    plan_.files.push_back({.path = in_.state.artefacts.at("manifest"), .text = manifest_file(manifest)});
    for (auto const& node : in_.graph.nodes) {
      if (node.implementation.generate == generator_kind::embed_folder) embed(node);
    }
  }

  /// Ninja itself sees a file that came or went: the generator names every folder as a dependency.
  void embed(graph_node const& node) {
    if (!embeds_) {
      plan_.variables.emplace("morgana", ninja_word(driver_program().string()));
      plan_.rules.push_back(
          {.name = "embed",
           .command = "$morgana internal embed --table $table --depfile $out.d $folder $out",
           .description = "embed $folder",
           .depfile = "$out.d"});
      embeds_ = true;
    }
    auto const table = embed_table(node.name);
    auto const source = table + ".gen.cpp";
    auto const from = node.config.find(node.implementation.generate_from);
    auto const folder =
        (fs::path(layout::application) / (from != node.config.end() ? from->second : std::string(".")))
            .lexically_normal();
    plan_.files.push_back({.path = table + ".gen.hpp", .text = embed_header(table)});
    plan_.edges.push_back(
        {.rule = "embed",
         .outputs = {source},
         .inputs = {},
         .variables = {{"table", ninja_word(table)}, {"folder", ninja_word(folder.string())}}});
    compile(source, {"-Wno-c23-extensions"});
  }

  outcome<void> sources() {
    auto found = application_sources(in_.app);
    if (!found) return fail(std::move(found));
    for (auto const& source : *found) {
      compile(fmt::format("{}/{}", layout::application, source));
      compile_command_for(in_.app.folder / source);
    }
    return {};
  }

  /// Before the target's own libraries: of two archives with one symbol the first wins, and ours replace
  /// parts of the C++ library on purpose.
  std::vector<std::string> archives() const {
    std::vector<std::string> out;
    for (auto const& package : in_.built) {
      for (auto const& archive : package.archives | std::views::reverse) {
        auto const below = archive.lexically_relative(package.root);
        out.push_back((fs::path(layout::packages) / package.name / below).generic_string());
      }
    }
    // The platform's entry comes first, then what it calls; the linker does not mind the order.
    std::ranges::reverse(out);
    return out;
  }

  outcome<void> image() {
    auto const image = image_name(in_);
    lower_request request{.what = &in_, .objects = objects_, .archives = archives(), .image = image};
    auto lowered = lower(request);
    if (!lowered) return fail(std::move(lowered));
    if (*lowered) {
      merge_lowered(plan_, **lowered);
      return {};
    }
    std::vector<std::string> link;
    if (in_.on.triple != "host" && !in_.on.triple.empty()) link.push_back("--target=" + in_.on.triple);
    for (auto const& flag : evaluate_flags(in_.on.link_flags, in_.settings)) link.push_back(flag);
    link.emplace_back("-Wl,--build-id=sha1");
    // One for all applications: most of what a link compiles, the runtime, is the same in each. The linker
    // keeps it within its bounds, and its keys are contents. -Xlinker, because a path may hold a comma.
    link.emplace_back("-Xlinker");
    link.push_back("--thinlto-cache-dir=" + (cache_folder() / "lto").string());
    link.emplace_back("-Wl,--thinlto-cache-policy=prune_after=168h:cache_size_bytes=1g");
    std::vector<std::string> libraries;
    for (auto const& package : in_.built) {
      libraries.insert(libraries.end(), package.libraries.begin(), package.libraries.end());
    }
    std::vector<std::string> implicit;
    if (in_.on.link_script) {
      link.push_back("-Wl,-T," + in_.on.link_script->string());
      implicit.push_back(in_.on.link_script->string());
    }
    plan_.variables.emplace("link_flags", ninja_words(link));
    plan_.variables.emplace("libraries", ninja_words(libraries));
    plan_.rules.push_back({.name = "link",
                           .command = "$clangxx -o $out $in $libraries $link_flags -Wl,-Map=$map",
                           .description = "link $out"});
    plan_.rules.push_back({.name = "strip",
                           .command = "$objcopy --strip-all --add-gnu-debuglink=$in $in $out",
                           .description = "strip $out"});
    auto inputs = objects_;
    for (auto const& archive : request.archives) inputs.push_back(archive);
    plan_.edges.push_back({.rule = "link",
                           .outputs = {image + ".debug"},
                           .inputs = inputs,
                           .implicit_inputs = implicit,
                           .variables = {{"map", ninja_word(image + ".map")}}});
    plan_.edges.push_back({.rule = "strip", .outputs = {image}, .inputs = {image + ".debug"}});
    plan_.defaults = {image};
    return {};
  }

  configuration const& in_;
  std::string main_text_;
  command_flags flags_;
  build_plan plan_;
  std::vector<std::string> objects_;
  bool embeds_ = false;
};

}  // namespace

outcome<std::vector<std::string>> application_sources(description const& app) {
  std::vector<std::string> out;
  for (auto const& glob : app.sources) {
    auto found = package_detail::expand_glob(app.folder, glob.value);
    if (found.empty()) {
      return fail({.code = "no-sources",
                   .message = fmt::format("`{}` matches no file", glob.value),
                   .where = glob.where,
                   .help = {"globs are relative to the folder of unikernel.toml"}});
    }
    out.insert(out.end(), found.begin(), found.end());
  }
  std::ranges::sort(out);
  auto const same = std::ranges::unique(out);
  out.erase(same.begin(), same.end());
  return out;
}

outcome<build_plan> make_plan(configuration const& what, std::string main_text) {
  return planner(what, std::move(main_text)).make();
}

}  // namespace morgana::driver
