// Finds start() and reads what each of its parameters asks for.
#include <clang/AST/ASTConcept.h>
#include <clang/AST/ASTContext.h>
#include <clang/AST/DeclCXX.h>
#include <clang/AST/DeclTemplate.h>
#include <clang/AST/ExprConcepts.h>
#include <clang/Basic/SourceManager.h>
#include <clang/Sema/Sema.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "requirements/reader/front_end.hpp"
#include "requirements/reader/text.hpp"

namespace morgana::driver {
namespace {

constexpr auto entry_point_line = "task<> start(net::stack auto& network);";

/// "morgana::net::stack": inline namespaces, which nobody writes, are left out.
std::string qualified_name(clang::NamedDecl const& declaration) {
  auto name = declaration.getNameAsString();
  for (auto const* context = declaration.getDeclContext(); context; context = context->getParent()) {
    if (auto const* space = llvm::dyn_cast<clang::NamespaceDecl>(context)) {
      if (!space->isInline() && !space->isAnonymousNamespace()) name = space->getNameAsString() + "::" + name;
    } else if (auto const* record = llvm::dyn_cast<clang::RecordDecl>(context)) {
      name = record->getNameAsString() + "::" + name;
    }
  }
  return name;
}

/// The template arguments of `type` if it is a specialization of the template with this name.
clang::TemplateArgumentList const* arguments_of(clang::QualType type, std::string_view name) {
  auto const* record = type.getCanonicalType()->getAsCXXRecordDecl();
  auto const* made = record ? llvm::dyn_cast<clang::ClassTemplateSpecializationDecl>(record) : nullptr;
  if (!made || qualified_name(*made->getSpecializedTemplate()) != name) return nullptr;
  return &made->getTemplateArgs();
}

std::optional<start_result> result_of(clang::QualType type) {
  auto const* arguments = arguments_of(type, "morgana::task");
  if (!arguments || arguments->size() == 0 || arguments->get(0).getKind() != clang::TemplateArgument::Type) {
    return std::nullopt;
  }
  auto const value = arguments->get(0).getAsType().getCanonicalType();
  if (value->isVoidType()) return start_result::nothing;
  if (value->isSpecificBuiltinType(clang::BuiltinType::Int)) return start_result::exit_code;
  for (auto const* name : {"morgana::result", "std::expected"}) {
    auto const* inner = arguments_of(value, name);
    if (inner && inner->size() > 0 && inner->get(0).getKind() == clang::TemplateArgument::Type &&
        inner->get(0).getAsType()->isVoidType()) {
      return start_result::fallible;
    }
  }
  return std::nullopt;
}

/// What the application's own headers declare at namespace scope.
struct app_declarations {
  std::vector<clang::FunctionDecl const*> starts;       ///< one per function, not per declaration
  std::vector<clang::FunctionDecl const*> other_tasks;  ///< functions of another name that return a task
  clang::NamedDecl const* impostor = nullptr;           ///< called start, but no function that can be called
};

class search {
 public:
  explicit search(clang::SourceManager const& sources) : sources_(sources) {}

  void walk(clang::DeclContext const& context, bool in_unnamed) {
    for (auto const* declaration : context.decls()) {
      if (sources_.isInSystemHeader(sources_.getExpansionLoc(declaration->getLocation()))) continue;
      if (auto const* space = llvm::dyn_cast<clang::NamespaceDecl>(declaration)) {
        walk(*space, in_unnamed || space->isAnonymousNamespace());
      } else if (auto const* block = llvm::dyn_cast<clang::LinkageSpecDecl>(declaration)) {
        walk(*block, in_unnamed);
      } else if (auto const* named = llvm::dyn_cast<clang::NamedDecl>(declaration)) {
        look_at(*named, in_unnamed);
      }
    }
  }

  app_declarations found;

 private:
  void look_at(clang::NamedDecl const& named, bool in_unnamed) {
    auto const* made = llvm::dyn_cast<clang::FunctionTemplateDecl>(&named);
    auto const* function = made ? made->getTemplatedDecl() : llvm::dyn_cast<clang::FunctionDecl>(&named);
    auto const* identifier = named.getIdentifier();
    bool const called_start = identifier && identifier->getName() == "start";
    if (called_start && (!function || in_unnamed)) {
      found.impostor = &named;
    } else if (function && seen_.insert(function->getCanonicalDecl()).second) {
      if (called_start)
        found.starts.push_back(function);
      else if (identifier && arguments_of(function->getReturnType(), "morgana::task"))
        found.other_tasks.push_back(function);
    }
  }

  clang::SourceManager const& sources_;
  std::set<clang::Decl const*> seen_;
};

/// The declaration to read: the definition, whose parameter names count, else the last one.
clang::FunctionDecl const& best_declaration(clang::FunctionDecl const& function) {
  clang::FunctionDecl const* definition = nullptr;
  if (function.hasBody(definition) || function.isDefined(definition)) return *definition;
  if (auto const* made = function.getDescribedFunctionTemplate())
    return *made->getMostRecentDecl()->getTemplatedDecl();
  return *function.getMostRecentDecl();
}

/// Whether `constraint` is C<parameter> or C<parameter, ...>; `a && b` is searched.
clang::ConceptReference const* concept_on(clang::Expr const* constraint,
                                          clang::TemplateTypeParmDecl const& parameter) {
  if (!constraint) return nullptr;
  constraint = constraint->IgnoreParenImpCasts();
  if (auto const* both = llvm::dyn_cast<clang::BinaryOperator>(constraint)) {
    if (both->getOpcode() != clang::BO_LAnd) return nullptr;
    auto const* left = concept_on(both->getLHS(), parameter);
    return left ? left : concept_on(both->getRHS(), parameter);
  }
  auto const* use = llvm::dyn_cast<clang::ConceptSpecializationExpr>(constraint);
  if (!use || use->getTemplateArguments().empty()) return nullptr;
  auto const& first = use->getTemplateArguments().front();
  if (first.getKind() != clang::TemplateArgument::Type) return nullptr;
  auto const* type = first.getAsType()->getAs<clang::TemplateTypeParmType>();
  bool const same =
      type && type->getDepth() == parameter.getDepth() && type->getIndex() == parameter.getIndex();
  return same ? use->getConceptReference() : nullptr;
}

class signature {
 public:
  signature(clang::Sema& sema, clang::FunctionDecl const& start, reader_request const& request,
            reader_answer& answer)
      : sema_(sema), sources_(sema.getSourceManager()), start_(start), request_(request), answer_(answer) {}

  void read() {
    answer_.needs.start = place_of(sources_, start_.getLocation());
    answer_.needs.qualified_start = "::" + qualified_name(start_);
    read_result();
    for (unsigned i = 0; i < start_.getNumParams(); ++i) read_parameter(*start_.getParamDecl(i), i);
    if (start_.isVariadic()) {
      unsupported(answer_.needs.start, "start() cannot take `...`", {"give every device its own parameter"});
    }
    check_template_parameters();
  }

 private:
  void unsupported(source_location where, std::string message, std::vector<std::string> help,
                   std::vector<diagnostic_note> notes = {}) {
    answer_.errors.push_back({.code = "unsupported-parameter",
                              .message = std::move(message),
                              .where = std::move(where),
                              .notes = std::move(notes),
                              .help = std::move(help)});
  }

  void read_result() {
    if (auto const result = result_of(start_.getReturnType())) {
      answer_.needs.result = *result;
      return;
    }
    auto const written = start_.getReturnTypeSourceRange();
    auto const text = text_of(sources_, written);
    answer_.errors.push_back(
        {.code = "wrong-start-result",
         .message = fmt::format("start() returns `{}`, not a task",
                                text.empty() ? start_.getReturnType().getAsString() : text),
         .where = written.isValid() ? place_of(sources_, written) : place_of(sources_, start_.getLocation()),
         .help = {"return `task<>`, `task<int>` (an exit code) or `task<result<void>>` (an error ends the "
                  "unikernel)"}});
    if (arguments_of(start_.getReturnType(), "morgana::task")) {
      answer_.errors.back().message = fmt::format("start() returns `{}`, and nobody takes that value", text);
    }
  }

  void read_parameter(clang::ParmVarDecl const& parameter, std::size_t position) {
    auto const where = place(parameter);
    auto const name = parameter.getNameAsString();
    auto const what =
        name.empty() ? fmt::format("parameter {} of start()", position + 1) : fmt::format("`{}`", name);
    if (llvm::isa<clang::PackExpansionType>(parameter.getType())) {
      return unsupported(where,
                         fmt::format("{} is a parameter pack, so nobody knows how many devices it is", what),
                         {"give every device its own parameter"});
    }
    auto const type = parameter.getType();
    auto const referred = type.getNonReferenceType();
    auto const* generic = referred->getAs<clang::TemplateTypeParmType>();
    if (!generic) return read_concrete(parameter, position, what);

    auto const* declaration = generic->getDecl();
    auto const* constraint = declaration ? constraint_of(*declaration) : nullptr;
    if (!constraint) {
      answer_.errors.push_back(
          {.code = "parameter-without-concept",
           .message = fmt::format("{} has no concept, so nobody knows which device it is", what),
           .where = where,
           .help = {fmt::format("write the concept before `auto`, as in `net::stack auto& {}`",
                                name.empty() ? "NAME" : name)}});
      auto const known = known_concepts(sema_.getASTContext(), request_.device_concepts);
      if (!known.empty())
        answer_.errors.back().notes.push_back({.message = "the concepts declared here are " + listed(known)});
      return;
    }
    auto const concept_name = qualified_name(*constraint->getNamedConcept());
    auto const written = text_of(sources_, concept_range(*constraint));
    if (concept_name == "morgana::option_set") return read_option_set(parameter, position, *constraint, what);
    if (auto const* arguments = constraint->getTemplateArgsAsWritten();
        arguments && arguments->NumTemplateArgs > (declaration->hasTypeConstraint() ? 0u : 1u)) {
      return unsupported(
          place_of(sources_, concept_range(*constraint)),
          fmt::format("the concept of {} has arguments, and a device is chosen by concept alone", what),
          {fmt::format("declare a concept without arguments on top of `{}`", written)});
    }
    if (!type->isReferenceType()) {
      return unsupported(where, fmt::format("{} is taken by value, but a device is shared, not copied", what),
                         {fmt::format("write `{} auto& {}`", written, name.empty() ? "NAME" : name)});
    }
    if (name.empty()) {
      return unsupported(
          place_of(sources_, parameter.getSourceRange()),
          fmt::format("{} has no name, and the name is what choices and options refer to", what),
          {fmt::format("name it, as in `{} auto& network`", written)});
    }
    answer_.needs.parameters.push_back({.what = start_parameter::kind::device, .name = name});
    answer_.needs.devices.push_back({.name = {name, where},
                                     .concept_name = {std::string(without_morgana(concept_name)),
                                                      place_of(sources_, concept_range(*constraint))}});
  }

  static clang::SourceRange concept_range(clang::ConceptReference const& reference) {
    auto const& qualifier = reference.getNestedNameSpecifierLoc();
    return {qualifier ? qualifier.getBeginLoc() : reference.getConceptNameLoc(),
            reference.getConceptNameLoc()};
  }

  /// The concept in front of the parameter, else the one a requires clause puts on it.
  clang::ConceptReference const* constraint_of(clang::TemplateTypeParmDecl const& parameter) const {
    if (auto const* constraint = parameter.getTypeConstraint()) return constraint->getConceptReference();
    auto const* made = start_.getDescribedFunctionTemplate();
    if (!made) return nullptr;
    if (auto const* found = concept_on(made->getTemplateParameters()->getRequiresClause(), parameter))
      return found;
    return concept_on(start_.getTrailingRequiresClause().ConstraintExpr, parameter);
  }

  void read_option_set(clang::ParmVarDecl const& parameter, std::size_t position,
                       clang::ConceptReference const& constraint, std::string const& what) {
    auto const* arguments = constraint.getTemplateArgsAsWritten();
    auto const where = place(parameter);
    if (!arguments || arguments->NumTemplateArgs == 0) {
      return unsupported(
          where, fmt::format("the option set {} does not say which struct it holds", what),
          {"write `option_set<options> auto const& opt`, with a struct whose fields are the options"});
    }
    auto const& argument = (*arguments)[arguments->NumTemplateArgs - 1].getArgument();
    auto const* record = argument.getKind() == clang::TemplateArgument::Type
                             ? argument.getAsType()->getAsCXXRecordDecl()
                             : nullptr;
    if (!record) {
      return unsupported(
          place_of(sources_, (*arguments)[0].getSourceRange()),
          fmt::format("the option set {} must hold a struct whose fields are the options", what),
          {"write `struct options { ... };` and `option_set<options> auto const& opt`"});
    }
    if (auto const type = parameter.getType();
        !type->isReferenceType() || !type.getNonReferenceType().isConstQualified()) {
      return unsupported(where, fmt::format("the options {} must be taken by reference to const", what),
                         {fmt::format("write `option_set<{}> auto const& {}`", record->getNameAsString(),
                                      name_or(parameter, "opt"))});
    }
    add_options(parameter, position, *record, true);
  }

  /// A parameter of a type that is known here: boot options, or a mistake.
  void read_concrete(clang::ParmVarDecl const& parameter, std::size_t position, std::string const& what) {
    auto const type = parameter.getType();
    auto const referred = type.getNonReferenceType();
    auto const where = place(parameter);
    // The type's own range leaves out the concept of an `auto`.
    auto const written =
        text_of(sources_, {parameter.getBeginLoc(), parameter.getTypeSourceInfo()->getTypeLoc().getEndLoc()});
    auto const* record = referred->getAsCXXRecordDecl();
    if (auto const* pointer = referred->getAs<clang::PointerType>();
        pointer && pointer->getPointeeType()->isDependentType()) {
      return unsupported(where, fmt::format("{} is a pointer, but devices are given by reference", what),
                         {fmt::format("write `{}& {}`", one_line(written.substr(0, written.find('*'))),
                                      name_or(parameter, "NAME"))});
    }
    bool const is_options = record && record->hasDefinition() && record->isAggregate() &&
                            !record->isUnion() && !llvm::isa<clang::ClassTemplateSpecializationDecl>(record);
    if (!is_options) {
      return unsupported(
          where,
          fmt::format(
              "{} has the type `{}`, which is neither a concept with `auto` nor a struct of boot options",
              what, written),
          {fmt::format("if it is a device, name what it must be able to do: `CONCEPT auto& {}`",
                       name_or(parameter, "NAME")),
           "if it holds boot options, make it a struct with public fields and without constructors"},
          record ? std::vector<diagnostic_note>{{.message = "it is declared here",
                                                 .where = place_of(sources_, record->getLocation())}}
                 : std::vector<diagnostic_note>{});
    }
    if (!type->isLValueReferenceType() || !referred.isConstQualified()) {
      return unsupported(
          where, fmt::format("the options {} must be taken by reference to const", what),
          {fmt::format("write `{} const& {}`", qualified_name(*record), name_or(parameter, "opt"))});
    }
    add_options(parameter, position, *record, false);
  }

  void add_options(clang::ParmVarDecl const& parameter, std::size_t position,
                   clang::CXXRecordDecl const& record, bool generic) {
    auto const where = place(parameter);
    if (auto const& first = answer_.needs.options) {
      answer_.errors.push_back(
          {.code = "two-option-structs",
           .message = "start() takes boot options twice",
           .where = where,
           .notes = {{.message = "the first are here", .where = first_options_}},
           .help = {fmt::format("make `{}` a base of `{}`, or the other way round, and take one parameter",
                                first->type.value, qualified_name(record))}});
      return;
    }
    first_options_ = where;
    option_struct made{.type = {qualified_name(record), place_of(sources_, record.getLocation())},
                       .parameter = name_or(parameter, "options"),
                       .generic = generic,
                       .position = position,
                       .fields = {}};
    read_fields(sema_, record, made, answer_.errors);
    answer_.needs.parameters.push_back({.what = start_parameter::kind::options, .name = made.parameter});
    answer_.needs.options = std::move(made);
  }

  /// Every template parameter must follow from an argument, or the call cannot be written.
  void check_template_parameters() {
    auto const* made = start_.getDescribedFunctionTemplate();
    if (!made) return;
    for (auto const* parameter : *made->getTemplateParameters()) {
      auto const* type = llvm::dyn_cast<clang::TemplateTypeParmDecl>(parameter);
      bool const used =
          type && std::ranges::any_of(start_.parameters(), [&](auto const* one) {
            auto const* its =
                one->getType().getNonReferenceType()->template getAs<clang::TemplateTypeParmType>();
            return (its && its->getIndex() == type->getIndex()) ||
                   llvm::isa<clang::PackExpansionType>(one->getType()) || one->getType()->isPointerType();
          });
      bool const defaulted = type && type->hasDefaultArgument();
      if (used || defaulted) continue;
      unsupported(place_of(sources_, parameter->getLocation()),
                  fmt::format("the template parameter `{}` of start() is the type of none of its parameters",
                              parameter->getNameAsString()),
                  {"remove it, or take a parameter of this type"});
    }
  }

  /// Where the name is, or would be told from.
  source_location place(clang::ParmVarDecl const& parameter) const {
    return place_of(sources_,
                    parameter.getName().empty() ? parameter.getBeginLoc() : parameter.getLocation());
  }

  static std::string name_or(clang::ParmVarDecl const& parameter, char const* other) {
    return parameter.getName().empty() ? other : parameter.getNameAsString();
  }

  clang::Sema& sema_;
  clang::SourceManager const& sources_;
  clang::FunctionDecl const& start_;
  reader_request const& request_;
  reader_answer& answer_;
  source_location first_options_;
};

diagnostic no_start(app_declarations const& found, clang::SourceManager const& sources,
                    std::filesystem::path const& entry) {
  diagnostic out{
      .code = "no-start",
      .message = "there is no entry point: no function called start",
      .where = source_location{.file = entry},
      .help = {fmt::format("declare it, with a parameter for each device the application needs: `{}`",
                           entry_point_line)}};
  if (found.impostor) {
    bool const function = found.impostor->isFunctionOrFunctionTemplate();
    out.notes.push_back(
        {.message = function ? "this `start` is in an unnamed namespace" : "this `start` is no function",
         .where = place_of(sources, found.impostor->getLocation())});
  }
  for (auto const* task : found.other_tasks) {
    if (out.notes.size() >= 4) break;
    out.notes.push_back(
        {.message = fmt::format("`{}` returns a task, but is not called start", task->getNameAsString()),
         .where = place_of(sources, task->getLocation())});
  }
  return out;
}

void add_concepts(clang::DeclContext const& context, std::string const& prefix,
                  std::set<std::string>& names) {
  for (auto const* declaration : context.decls()) {
    if (auto const* one = llvm::dyn_cast<clang::ConceptDecl>(declaration)) {
      // A device is chosen by concept alone, so one with further parameters is for other uses.
      bool const usable = one->getTemplateParameters()->size() == 1 || one->getName() == "option_set";
      if (usable) names.insert(prefix + one->getNameAsString());
    } else if (auto const* space = llvm::dyn_cast<clang::NamespaceDecl>(declaration)) {
      auto const name = space->getNameAsString();
      if (name == "detail" || space->isAnonymousNamespace()) continue;
      add_concepts(*space, space->isInline() ? prefix : prefix + name + "::", names);
    }
  }
}

}  // namespace

std::vector<std::string> known_concepts(clang::ASTContext& context, std::vector<std::string> const& devices) {
  std::set<std::string> names;
  for (auto const* declaration : context.getTranslationUnitDecl()->decls()) {
    auto const* space = llvm::dyn_cast<clang::NamespaceDecl>(declaration);
    if (space && space->getName() == "morgana") add_concepts(*space, "", names);
  }
  if (!devices.empty()) {
    std::erase_if(names, [&](auto const& name) {
      return name != "option_set" && std::ranges::find(devices, name) == devices.end();
    });
  }
  return {names.begin(), names.end()};
}

void read_signature(clang::Sema& sema, reader_request const& request, reader_answer& answer) {
  auto const& sources = sema.getSourceManager();
  search everything(sources);
  everything.walk(*sema.getASTContext().getTranslationUnitDecl(), false);
  auto starts = everything.found.starts;
  // An application may well call another function start, say of a timer: one that returns a task goes first.
  auto const returns_task = [](auto const* function) {
    return arguments_of(function->getReturnType(), "morgana::task") != nullptr;
  };
  if (starts.size() > 1 && std::ranges::any_of(starts, returns_task)) {
    std::erase_if(starts, [&](auto const* function) { return !returns_task(function); });
  }
  if (starts.empty()) {
    answer.errors.push_back(no_start(everything.found, sources, request.entry));
    return;
  }
  if (starts.size() > 1) {
    diagnostic out{
        .code = "two-starts",
        .message = fmt::format("there are {} entry points, and a unikernel has one", starts.size()),
        .where = place_of(sources, starts.back()->getLocation()),
        .help = {"keep one and give the other another name"}};
    for (auto const* start : starts) {
      if (start == starts.back()) break;
      out.notes.push_back({.message = fmt::format("`::{}` is also declared here", qualified_name(*start)),
                           .where = place_of(sources, start->getLocation())});
    }
    answer.errors.push_back(std::move(out));
    return;
  }
  signature(sema, best_declaration(*starts.front()), request, answer).read();
}

}  // namespace morgana::driver
