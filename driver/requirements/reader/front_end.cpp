#include "requirements/reader/front_end.hpp"

#include <clang/AST/ASTContext.h>
#include <clang/AST/DeclCXX.h>
#include <clang/Basic/DiagnosticFrontend.h>
#include <clang/Basic/SourceManager.h>
#include <clang/Frontend/CompilerInstance.h>
#include <clang/Frontend/FrontendAction.h>
#include <clang/Lex/Lexer.h>
#include <clang/Lex/Preprocessor.h>
#include <clang/Sema/Sema.h>
#include <clang/Sema/SemaConsumer.h>
#include <clang/Tooling/Tooling.h>
#include <fmt/format.h>
#include <llvm/Support/VirtualFileSystem.h>

#include <algorithm>
#include <array>
#include <set>

#include "requirements/reader/text.hpp"

namespace morgana::driver {
namespace {

/// The first error as clang says it, with its notes; the others are counted.
class first_error : public clang::DiagnosticConsumer {
 public:
  void HandleDiagnostic(clang::DiagnosticsEngine::Level level, clang::Diagnostic const& said) override {
    DiagnosticConsumer::HandleDiagnostic(level, said);
    if (level == clang::DiagnosticsEngine::Note) {
      if (in_first_ && found_->notes.size() < notes_max) found_->notes.push_back(note(said));
      return;
    }
    in_first_ = false;
    if (level < clang::DiagnosticsEngine::Error) return;
    if (said.getID() == clang::diag::fatal_too_many_errors) {
      stopped_ = true;
    } else if (found_) {
      ++further_;
    } else {
      found_ = diagnostic{.code = "cpp-error", .message = text(said)};
      in_first_ = true;
      if (said.hasSourceManager()) look_at(said);
    }
  }

  bool any() const { return found_.has_value(); }
  diagnostic take() {
    if (further_ > 0) {
      found_->notes.push_back(
          {.message = fmt::format("{}{} further error{} not shown", stopped_ ? "at least " : "", further_,
                                  further_ == 1 ? " is" : "s are")});
    }
    return *std::move(found_);
  }

  /// The constraint that the compiler did not know, if that is what the first error is about.
  std::optional<constraint_text> const& unknown_constraint() const { return unknown_; }
  /// Whether the first error is a name of the application's that the compiler did not know.
  bool about_unknown_name() const { return unknown_name_; }
  /// The type that was used as a concept, if that is what the first error is about.
  std::optional<constraint_text> const& type_as_constraint() const { return type_; }
  /// The line of the in-memory main file the first error is in, or 0.
  unsigned main_file_line() const { return main_file_line_; }

 private:
  // A chain of template instantiations is told by its ends well enough.
  static constexpr std::size_t notes_max = 16;

  static std::string text(clang::Diagnostic const& said) {
    llvm::SmallString<256> buffer;
    said.FormatDiagnostic(buffer);
    return std::string(buffer);
  }

  static diagnostic_note note(clang::Diagnostic const& said) {
    diagnostic_note made{.message = text(said)};
    if (said.hasSourceManager() && said.getLocation().isValid()) {
      made.where = place_of(said.getSourceManager(), said.getLocation());
    }
    return made;
  }

  void look_at(clang::Diagnostic const& said) {
    if (said.getLocation().isInvalid()) return;
    auto const& sources = said.getSourceManager();
    auto const where = sources.getFileLoc(said.getLocation());
    found_->where = place_of(sources, said.getLocation());
    auto const [file, offset] = sources.getDecomposedLoc(where);
    if (file == sources.getMainFileID()) main_file_line_ = sources.getLineNumber(file, offset);
    for (auto const& fix : said.getFixItHints()) add_fix(sources, fix);
    if (sources.isInSystemHeader(where)) return;
    // What clang says of a name it does not know where a concept stands: it takes it for a type, a
    // namespace, a template or a variable, by what follows.
    constexpr std::array<std::string_view, 6> unknown = {"use of undeclared identifier",
                                                         "unknown type name",
                                                         "no type named",
                                                         "no template named",
                                                         "no member named",
                                                         "unknown class name"};
    auto const& message = found_->message;
    unknown_name_ = std::ranges::any_of(unknown, [&](auto start) { return message.starts_with(start); });
    auto const constraint = constraint_at(sources.getBufferData(file), offset);
    if (!constraint) return;
    if (unknown_name_) unknown_ = constraint;
    if (message.starts_with("cannot combine with previous")) type_ = constraint;
    if (unknown_ || type_) {
      found_->where = place_of(
          sources, where.getLocWithOffset(static_cast<int>(constraint->offset) - static_cast<int>(offset)));
      found_->where->length = static_cast<std::uint32_t>(constraint->length);
    }
  }

  void add_fix(clang::SourceManager const& sources, clang::FixItHint const& fix) {
    if (fix.isNull() || fix.RemoveRange.getBegin().isMacroID() || fix.InsertFromRange.isValid()) return;
    auto const old = std::string(clang::Lexer::getSourceText(fix.RemoveRange, sources, {}));
    std::string_view const text(fix.CodeToInsert.data(), fix.CodeToInsert.size());
    if (old.empty() && !text.empty()) {
      found_->help.push_back(fmt::format("insert `{}`", one_line(text)));
    } else if (!old.empty() && text.empty()) {
      found_->help.push_back(fmt::format("remove `{}`", one_line(old)));
    } else if (!old.empty()) {
      found_->help.push_back(fmt::format("replace `{}` by `{}`", one_line(old), one_line(text)));
    }
  }

  std::optional<diagnostic> found_;
  std::optional<constraint_text> unknown_;
  std::optional<constraint_text> type_;
  bool unknown_name_ = false;
  unsigned main_file_line_ = 0;
  std::size_t further_ = 0;
  bool in_first_ = false;
  bool stopped_ = false;
};

constexpr auto include_help =
    "`#include <morgana/app.hpp>` declares tasks and the usual devices; it is not included yet";

/// Turns clang's complaint about a name that is no concept into ours.
diagnostic explain_unknown_concept(diagnostic said, constraint_text const& constraint,
                                   std::vector<std::string> const& known) {
  diagnostic out{.code = "unknown-concept",
                 .message = fmt::format("there is no concept `{}` here", constraint.name),
                 .where = said.where};
  std::string const name(without_morgana(constraint.name));
  if (known.empty()) {
    out.help.push_back(include_help);
    return out;
  }
  out.notes.push_back({.message = "the concepts declared here are " + listed(known)});
  // It may be right but for the namespaces in front: `net::stack` for `morgana::net::stack`, or `stack`.
  auto const complete = std::ranges::find_if(known, [&](auto const& one) {
    return one == name || (name.find(':') == std::string::npos && one.ends_with("::" + name));
  });
  if (complete != known.end()) {
    out.help.push_back(
        fmt::format("write `morgana::{}`, or `{}` after `using namespace morgana;`", *complete, *complete));
  } else if (auto const near = nearest(name, known)) {
    out.help.push_back(fmt::format("did you mean `{}`?", *near));
  } else {
    out.help.push_back("use one of these, or include the header that declares yours");
  }
  return out;
}

class reading : public clang::SemaConsumer {
 public:
  reading(reader_request const& request, reader_answer& answer, first_error& errors)
      : request_(request), answer_(answer), errors_(errors) {}

  void InitializeSema(clang::Sema& sema) override { sema_ = &sema; }
  void ForgetSema() override { sema_ = nullptr; }

  void HandleTranslationUnit(clang::ASTContext& context) override {
    if (errors_.any()) return report(context);
    if (!request_.entry.empty()) {
      read_signature(*sema_, request_, answer_);
    } else {
      read_structs(context);
    }
    // Asking whether a type has a parser instantiates templates, and one of those may be wrong.
    if (answer_.errors.empty() && errors_.any()) report(context);
    collect_files(context.getSourceManager());
  }

  /// Names the struct that the n-th query asks for.
  static std::string alias(std::size_t query) { return fmt::format("morgana_option_struct_{}", query); }

 private:
  void report(clang::ASTContext& context) {
    auto const known = known_concepts(context, request_.device_concepts);
    if (auto const& constraint = errors_.unknown_constraint()) {
      answer_.errors.push_back(explain_unknown_concept(errors_.take(), *constraint, known));
    } else if (auto const& type = errors_.type_as_constraint()) {
      auto said = errors_.take();
      said.code = "unsupported-parameter";
      said.message = fmt::format("`{}` is a type, and only a concept can stand before `auto`", type->name);
      said.help = {fmt::format(
          "write `{} const& NAME` if these are boot options, or a concept if this is a device", type->name)};
      answer_.errors.push_back(std::move(said));
    } else if (known.empty() && errors_.about_unknown_name()) {
      // Whatever name clang missed first, this is what it was to come from.
      auto said = errors_.take();
      said.help.push_back(include_help);
      answer_.errors.push_back(std::move(said));
    }
  }

  void read_structs(clang::ASTContext& context) {
    std::vector<clang::CXXRecordDecl const*> found(request_.queries.size());
    for (auto const* top : context.getTranslationUnitDecl()->decls()) {
      auto const* home = llvm::dyn_cast<clang::NamespaceDecl>(top);
      if (!home || !context.getSourceManager().isInMainFile(home->getLocation())) continue;
      for (auto const* declaration : home->decls()) {
        auto const* name = llvm::dyn_cast<clang::TypeAliasDecl>(declaration);
        if (!name) continue;
        for (std::size_t i = 0; i < found.size(); ++i) {
          if (name->getName() != alias(i)) continue;
          // A struct inside a template exists only once somebody asks for it.
          auto const type = name->getUnderlyingType();
          if (sema_->isCompleteType(name->getLocation(), type)) found[i] = type->getAsCXXRecordDecl();
        }
      }
    }
    for (std::size_t i = 0; i < found.size(); ++i) {
      auto const* record = found[i] ? found[i]->getDefinition() : nullptr;
      if (!record) {
        answer_.errors.push_back(
            {.code = "unknown-option-struct",
             .message = fmt::format("`{}` of {} is no complete struct", request_.queries[i].type,
                                    request_.queries[i].header),
             .help = {"name a struct whose fields are the options"}});
        continue;
      }
      option_struct made;
      made.type = {request_.queries[i].type, place_of(context.getSourceManager(), record->getLocation())};
      read_fields(*sema_, *record, made, answer_.errors);
      answer_.structs.push_back(std::move(made));
    }
  }

  void collect_files(clang::SourceManager& sources) {
    std::set<std::string> paths;
    for (auto file = sources.fileinfo_begin(); file != sources.fileinfo_end(); ++file) {
      if (file->first == sources.getFileEntryRefForID(sources.getMainFileID())) continue;
      std::string path(file->first.getName());
      // The standard library is found as bin/../include; the driver compares by this name, wherever it runs.
      paths.insert(std::filesystem::absolute(path).lexically_normal().string());
    }
    answer_.files.assign(paths.begin(), paths.end());
  }

  reader_request const& request_;
  reader_answer& answer_;
  first_error& errors_;
  clang::Sema* sema_ = nullptr;
};

class reading_action : public clang::ASTFrontendAction {
 public:
  reading_action(reader_request const& request, reader_answer& answer, first_error& errors)
      : request_(request), answer_(answer), errors_(errors) {}

  bool BeginInvocation(clang::CompilerInstance& compiler) override {
    // Bodies say nothing about requirements. Clang keeps those of constexpr functions, which defaults may
    // call.
    compiler.getFrontendOpts().SkipFunctionBodies = true;
    return true;
  }
  std::unique_ptr<clang::ASTConsumer> CreateASTConsumer(clang::CompilerInstance&, llvm::StringRef) override {
    return std::make_unique<reading>(request_, answer_, errors_);
  }

 private:
  reader_request const& request_;
  reader_answer& answer_;
  first_error& errors_;
};

/// The main file: the entry point, or the headers and, on the line `first_alias` and below, one alias each.
std::string main_file(reader_request const& request) {
  if (!request.entry.empty()) return fmt::format("#include \"{}\"\n", request.entry.string());
  std::string text;
  for (auto const& query : request.queries) text += fmt::format("#include \"{}\"\n", query.header);
  for (std::size_t i = 0; i < request.queries.size(); ++i) {
    text +=
        fmt::format("namespace morgana {{ using {} = {}; }}\n", reading::alias(i), request.queries[i].type);
  }
  return text;
}

bool is_below(std::filesystem::path const& path, std::filesystem::path const& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

std::vector<std::string> command_line(reader_request const& request, std::string const& clang,
                                      std::string const& main) {
  std::vector<std::string> out = {clang, "--no-default-config", "-x", "c++", "-std=c++23", "-stdlib=libc++"};
  out.insert(out.end(), request.flags.begin(), request.flags.end());
  auto const home = request.entry.parent_path().lexically_normal();
  for (auto const& folder : request.include) {
    auto const path = (folder / "").lexically_normal().parent_path();
    bool const of_app = !request.entry.empty() && (is_below(path, home) || is_below(home, path));
    out.push_back(of_app ? "-I" : "-isystem");
    out.push_back(folder.string());
  }
  for (auto const* flag : {"-w", "-Qunused-arguments", "-fretain-comments-from-system-headers",
                           "-ferror-limit=100", "-fno-color-diagnostics", "-fsyntax-only"}) {
    out.emplace_back(flag);
  }
  out.push_back(main);
  return out;
}

/// An error in the main file is not the user's: it says that a query is wrong.
diagnostic explain_query(diagnostic said, std::size_t line, std::vector<option_struct_query> const& queries) {
  auto const& query = queries[(line - 1) % queries.size()];
  bool const in_include = line <= queries.size();
  diagnostic out{.code = "unknown-option-struct", .message = {}};
  if (in_include) {
    out.message = fmt::format("the header {} of the option struct `{}` is in no include folder", query.header,
                              query.type);
    out.help.push_back("correct the catalogue's `header`");
  } else {
    out.message = fmt::format("there is no option struct `{}` in {}", query.type, query.header);
    out.notes.push_back({.message = "clang says: " + said.message});
    out.help.push_back("correct the catalogue's `options`");
  }
  return out;
}

}  // namespace

source_location place_of(clang::SourceManager const& sources, clang::SourceLocation where) {
  auto const at = sources.getFileLoc(where);
  if (at.isInvalid()) return {};
  auto const [file, offset] = sources.getDecomposedLoc(at);
  source_location place;
  auto const entry = sources.getFileEntryRefForID(file);
  auto const name = std::string(entry ? entry->getName() : sources.getBufferName(at));
  place.file = entry ? std::filesystem::absolute(name).lexically_normal() : std::filesystem::path(name);
  place.line = sources.getLineNumber(file, offset);
  place.column = sources.getColumnNumber(file, offset);
  clang::LangOptions language;
  language.CPlusPlus = true;
  place.length = std::max(1u, clang::Lexer::MeasureTokenLength(at, sources, language));
  return place;
}

source_location place_of(clang::SourceManager const& sources, clang::SourceRange range) {
  auto place = place_of(sources, range.getBegin());
  auto const end = place_of(sources, range.getEnd());
  if (end.file == place.file && end.line == place.line && end.column >= place.column) {
    place.length = end.column + end.length - place.column;
  }
  return place;
}

std::string text_of(clang::SourceManager const& sources, clang::SourceRange range) {
  clang::LangOptions language;
  language.CPlusPlus = true;
  auto const in_file =
      clang::Lexer::makeFileCharRange(clang::CharSourceRange::getTokenRange(range), sources, language);
  return one_line(std::string(clang::Lexer::getSourceText(in_file, sources, language)));
}

std::string listed(std::vector<std::string> names) {
  constexpr std::size_t shown_max = 12;
  std::erase(names, "option_set");
  auto const shown = std::min(names.size(), shown_max);
  auto text = fmt::format(
      "`{}`", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), "`, `"));
  if (shown < names.size()) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

reader_answer run_front_end(reader_request const& request, std::string const& clang) {
  reader_answer answer;
  first_error errors;
  auto const home = request.entry.empty() ? std::filesystem::path("/") : request.entry.parent_path();
  auto const main = (home / "morgana-requirements.cpp").string();

  auto memory = llvm::makeIntrusiveRefCnt<llvm::vfs::InMemoryFileSystem>();
  memory->addFile(main, 0, llvm::MemoryBuffer::getMemBufferCopy(main_file(request)));
  auto overlay = llvm::makeIntrusiveRefCnt<llvm::vfs::OverlayFileSystem>(llvm::vfs::getRealFileSystem());
  overlay->pushOverlay(memory);
  auto files = llvm::makeIntrusiveRefCnt<clang::FileManager>(clang::FileSystemOptions{}, overlay);

  clang::tooling::ToolInvocation invocation(command_line(request, clang, main),
                                            std::make_unique<reading_action>(request, answer, errors),
                                            files.get());
  invocation.setDiagnosticConsumer(&errors);
  bool const done = invocation.run();

  if (errors.any() && answer.errors.empty()) {
    auto const line = errors.main_file_line();
    auto said = errors.take();
    if (line > 0 && request.entry.empty()) said = explain_query(std::move(said), line, request.queries);
    answer.errors.push_back(std::move(said));
  } else if (!done && answer.errors.empty()) {
    answer.errors.push_back(
        {.code = "parser-failed", .message = "clang could not be run on the entry point"});
  }
  return answer;
}

}  // namespace morgana::driver
