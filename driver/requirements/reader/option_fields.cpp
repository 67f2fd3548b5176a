// Reads the fields of an option struct: names, types, comments, defaults, and whether text can become one.
#include <clang/AST/ASTContext.h>
#include <clang/AST/DeclCXX.h>
#include <clang/AST/DeclTemplate.h>
#include <clang/AST/Expr.h>
#include <clang/AST/ExprCXX.h>
#include <clang/AST/RawCommentList.h>
#include <clang/Basic/SourceManager.h>
#include <clang/Sema/Sema.h>
#include <clang/Sema/Template.h>
#include <fmt/format.h>
#include <llvm/Support/raw_ostream.h>

#include <algorithm>

#include "requirements/reader/front_end.hpp"
#include "requirements/reader/text.hpp"

namespace morgana::driver {
namespace {

/// The template morgana::option_parser, if any header declared it.
clang::ClassTemplateDecl* find_option_parser(clang::Sema& sema) {
  auto& context = sema.getASTContext();
  auto const home =
      context.getTranslationUnitDecl()->lookup(clang::DeclarationName(&context.Idents.get("morgana")));
  for (auto* space : home) {
    auto* morgana = llvm::dyn_cast<clang::NamespaceDecl>(space);
    if (!morgana) continue;
    for (auto* found : morgana->lookup(clang::DeclarationName(&context.Idents.get("option_parser")))) {
      if (auto* parser = llvm::dyn_cast<clang::ClassTemplateDecl>(found)) return parser->getCanonicalDecl();
    }
  }
  return nullptr;
}

/// Whether option_parser<type> is a complete type, as the generated code will need it.
bool is_parseable(clang::Sema& sema, clang::ClassTemplateDecl& parser, clang::QualType type,
                  clang::SourceLocation where) {
  clang::TemplateArgumentListInfo arguments(where, where);
  arguments.addArgument(
      clang::TemplateArgumentLoc(clang::TemplateArgument(type.getUnqualifiedType()),
                                 sema.getASTContext().getTrivialTypeSourceInfo(type, where)));
  auto const made = sema.CheckTemplateIdType(clang::ElaboratedTypeKeyword::None, clang::TemplateName(&parser),
                                             where, arguments, nullptr, false);
  return !made.isNull() && sema.isCompleteType(where, made);
}

/// `T` of a partial specialization, by what it is constrained to: "any std::integral", "any T with
/// std::is_enum_v<T>"; empty when that would be a program of its own.
std::string described(clang::ClassTemplatePartialSpecializationDecl const& partial,
                      clang::SourceManager const& sources) {
  auto const* arguments = partial.getTemplateArgsAsWritten();
  auto text = arguments && arguments->NumTemplateArgs > 0 ? text_of(sources, (*arguments)[0].getSourceRange())
                                                          : std::string("?");
  auto const* parameters = partial.getTemplateParameters();
  if (parameters->size() == 0) return text;
  auto const* first = llvm::dyn_cast<clang::TemplateTypeParmDecl>(parameters->getParam(0));
  if (!first || text != first->getName()) return text;
  if (auto const* constraint = first->getTypeConstraint()) {
    auto const* reference = constraint->getConceptReference();
    auto const& qualifier = reference->getNestedNameSpecifierLoc();
    return "any " + text_of(sources, {qualifier ? qualifier.getBeginLoc() : reference->getConceptNameLoc(),
                                      reference->getEndLoc()});
  }
  if (auto const* clause = parameters->getRequiresClause()) {
    auto const whole = text_of(sources, clause->IgnoreParens()->getSourceRange());
    constexpr std::size_t readable_max = 60;
    return whole.size() > readable_max ? std::string() : fmt::format("any {} with {}", text, whole);
  }
  return text;
}

std::vector<std::string> parseable_types(clang::ClassTemplateDecl& parser,
                                         clang::SourceManager const& sources,
                                         clang::PrintingPolicy const& policy) {
  std::vector<std::string> names;
  for (auto const* one : parser.specializations()) {
    if (one->getSpecializationKind() != clang::TSK_ExplicitSpecialization || !one->hasDefinition()) continue;
    if (llvm::isa<clang::ClassTemplatePartialSpecializationDecl>(one)) continue;
    auto const* arguments = one->getTemplateArgsAsWritten();
    names.push_back(arguments && arguments->NumTemplateArgs > 0
                        ? text_of(sources, (*arguments)[0].getSourceRange())
                        : one->getTemplateArgs()[0].getAsType().getAsString(policy));
  }
  llvm::SmallVector<clang::ClassTemplatePartialSpecializationDecl*, 8> partials;
  parser.getPartialSpecializations(partials);
  for (auto const* one : partials) {
    if (one->hasDefinition()) names.push_back(described(*one, sources));
  }
  std::erase(names, "");
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

/// The number in front of a unit, or nothing for a period without a short name.
std::string duration_text(clang::ClassTemplateSpecializationDecl const& type, clang::APValue const& value) {
  if (!value.isStruct() || value.getStructNumFields() != 1 || !value.getStructField(0).isInt()) return {};
  auto const* ratio = llvm::dyn_cast_or_null<clang::ClassTemplateSpecializationDecl>(
      type.getTemplateArgs()[1].getAsType()->getAsCXXRecordDecl());
  if (!ratio || ratio->getTemplateArgs().size() < 2) return {};
  auto const numerator = ratio->getTemplateArgs()[0].getAsIntegral().getExtValue();
  auto const denominator = ratio->getTemplateArgs()[1].getAsIntegral().getExtValue();
  struct unit {
    std::int64_t numerator, denominator;
    char const* name;
  };
  constexpr unit units[] = {{1, 1'000'000'000, "ns"}, {1, 1'000'000, "us"}, {1, 1000, "ms"}, {1, 1, "s"},
                            {60, 1, "min"},           {3600, 1, "h"},       {86400, 1, "d"}};
  for (auto const& one : units) {
    if (one.numerator != numerator || one.denominator != denominator) continue;
    llvm::SmallString<24> digits;
    value.getStructField(0).getInt().toString(digits, 10);
    return std::string(digits) + one.name;
  }
  return {};
}

std::string constant_text(clang::QualType type, clang::APValue const& value) {
  if (value.isInt()) {
    auto const& number = value.getInt();
    if (type->isBooleanType()) return number.getBoolValue() ? "true" : "false";
    if (auto const* enumeration = type->getAsEnumDecl()) {
      for (auto const* one : enumeration->enumerators()) {
        if (llvm::APSInt::isSameValue(one->getInitVal(), number)) return one->getNameAsString();
      }
    }
    llvm::SmallString<24> digits;
    number.toString(digits, 10);
    return std::string(digits);
  }
  if (value.isFloat()) {
    auto wide = value.getFloat();
    bool inexact = false;
    if (type->isSpecificBuiltinType(clang::BuiltinType::Float))
      return fmt::format("{}", wide.convertToFloat());
    wide.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &inexact);
    return fmt::format("{}", wide.convertToDouble());
  }
  auto const* record = type->getAsCXXRecordDecl();
  auto const* made = record ? llvm::dyn_cast<clang::ClassTemplateSpecializationDecl>(record) : nullptr;
  auto const* space = made ? llvm::dyn_cast<clang::NamespaceDecl>(made->getDeclContext()) : nullptr;
  while (space && space->isInline()) space = llvm::dyn_cast<clang::NamespaceDecl>(space->getParent());
  if (space && space->getName() == "chrono" && made->getName() == "duration") {
    return duration_text(*made, value);
  }
  return {};
}

/// The one string literal an initialiser consists of, whatever is constructed from it.
clang::StringLiteral const* only_literal(clang::Expr const* from) {
  for (;;) {
    from = from->IgnoreUnlessSpelledInSource();
    if (auto const* literal = llvm::dyn_cast<clang::StringLiteral>(from)) return literal;
    if (auto const* list = llvm::dyn_cast<clang::InitListExpr>(from); list && list->getNumInits() == 1) {
      from = list->getInit(0);
    } else if (auto const* made = llvm::dyn_cast<clang::CXXConstructExpr>(from);
               made && made->getNumArgs() >= 1 &&
               std::all_of(made->arg_begin() + 1, made->arg_end(),
                           [](auto const* one) { return one->isDefaultArgument(); })) {
      from = made->getArg(0);
    } else {
      return nullptr;
    }
  }
}

bool is_text_type(clang::QualType type) {
  auto const* record = type->getAsCXXRecordDecl();
  return record && record->isInStdNamespace() &&
         (record->getName() == "basic_string" || record->getName() == "basic_string_view");
}

class field_reader {
 public:
  field_reader(clang::Sema& sema, option_struct& into, diagnostics& errors)
      : sema_(sema),
        context_(sema.getASTContext()),
        sources_(sema.getSourceManager()),
        parser_(find_option_parser(sema)),
        into_(into),
        errors_(errors) {}

  void read(clang::CXXRecordDecl const& named) {
    auto const* record = named.getDefinition();
    if (!record) {
      wrong(named.getLocation(),
            fmt::format("the option struct `{}` is declared, but not defined", named.getNameAsString()),
            "define it before start()");
      return;
    }
    for (auto const& base : record->bases()) {
      auto const* below = base.getType()->getAsCXXRecordDecl();
      if (!below || base.isVirtual() || base.getAccessSpecifier() != clang::AS_public) {
        wrong(base.getBeginLoc(), "the base of an option struct must be public and not virtual",
              "make it a plain public base");
        continue;
      }
      read(*below);
    }
    for (auto const* field : record->fields()) read_field(*field);
  }

 private:
  void wrong(clang::SourceLocation where, std::string message, std::string help) {
    errors_.push_back({.code = "option-type",
                       .message = std::move(message),
                       .where = place_of(sources_, where),
                       .help = {std::move(help)}});
  }

  void read_field(clang::FieldDecl const& field) {
    auto const where = field.getLocation();
    if (field.getName().empty()) return wrong(where, "an option needs a name", "name this field");
    auto const name = field.getNameAsString();
    if (field.getAccess() != clang::AS_public) {
      return wrong(where, fmt::format("the option `{}` is not public", name), "options are public fields");
    }
    auto const type = field.getType();
    if (type->isReferenceType() || field.isBitField()) {
      return wrong(
          where, fmt::format("the option `{}` is a {}", name, field.isBitField() ? "bit-field" : "reference"),
          "options are plain fields");
    }
    auto const canonical = type.getCanonicalType().getUnqualifiedType();
    auto policy = context_.getPrintingPolicy();
    policy.FullyQualifiedName = true;
    policy.PrintAsCanonical = true;
    auto const* info = field.getTypeSourceInfo();
    option_field made{.name = {name, place_of(sources_, where)},
                      .flag = flag_of(name),
                      .type = canonical.getAsString(policy),
                      .declared_type = info ? text_of(sources_, info->getTypeLoc().getSourceRange()) : "",
                      .documentation = comment_of(field),
                      .default_source = {},
                      .default_value = {}};
    // The source of an array's type has the field's name in its middle.
    if (made.declared_type.empty() || canonical->isArrayType()) made.declared_type = made.type;
    if (parser_ && !is_parseable(sema_, *parser_, canonical, where)) {
      auto const types = parseable_types(*parser_, sources_, policy);
      auto const* customization = canonical->isEnumeralType() ? "option_names" : "option_parser";
      errors_.push_back(
          {.code = "option-type",
           .message = fmt::format("the option `{}` has the type `{}`, which cannot be read from text", name,
                                  made.declared_type),
           .where = place_of(sources_, where),
           .notes = {{.message = fmt::format("types that can be read: `{}`", fmt::join(types, "`, `"))}},
           .help = {fmt::format("use one of these types, or specialize `morgana::{}<{}>`", customization,
                                made.declared_type)}});
      return;
    }
    auto const same = std::ranges::find(into_.fields, made.flag, &option_field::flag);
    if (same != into_.fields.end()) {
      errors_.push_back({.code = "option-clash",
                         .message = fmt::format("two options are called --{}", made.flag),
                         .where = made.name.where,
                         .notes = {{.message = "the other one is here", .where = same->name.where}},
                         .help = {"give one of them another name"}});
      return;
    }
    read_default(field, canonical, made);
    into_.fields.push_back(std::move(made));
  }

  /// The field as written: that of the template when the struct is made from one.
  static clang::FieldDecl const& pattern_of(clang::FieldDecl const& field) {
    auto const* record = llvm::dyn_cast<clang::CXXRecordDecl>(field.getParent());
    auto const* pattern = record ? record->getTemplateInstantiationPattern() : nullptr;
    if (!pattern) return field;
    for (auto const* other : pattern->fields()) {
      if (other->getDeclName() == field.getDeclName()) return *other;
    }
    return field;
  }

  std::string comment_of(clang::FieldDecl const& field) const {
    auto const* comment = context_.getRawCommentForDeclNoCache(&pattern_of(field));
    if (!comment || !comment->isDocumentation()) return {};
    return one_paragraph(comment->getFormattedText(sources_, context_.getDiagnostics()));
  }

  void read_default(clang::FieldDecl const& field, clang::QualType type, option_field& into) {
    auto const& written = pattern_of(field);
    if (!written.hasInClassInitializer()) return;
    if (auto const* init = written.getInClassInitializer()) {
      into.default_source = text_of(sources_, init->getSourceRange());
      // Of a copy of the same type clang counts the `=` as a part.
      if (into.default_source.starts_with("= ")) into.default_source.erase(0, 2);
      if (into.default_source.empty()) {
        // A macro made the whole field.
        llvm::raw_string_ostream printed(into.default_source);
        init->printPretty(printed, nullptr, context_.getPrintingPolicy());
      }
    }
    auto const* init = field.getInClassInitializer();
    if (!init) {
      // Clang instantiates the initialisers of a template's fields when first used.
      if (sema_.BuildCXXDefaultInitExpr(field.getLocation(), const_cast<clang::FieldDecl*>(&field))
              .isInvalid())
        return;
      init = field.getInClassInitializer();
    }
    if (!init || init->isValueDependent()) return;
    if (is_text_type(type)) {
      if (auto const* literal = only_literal(init); literal && literal->getCharByteWidth() == 1) {
        into.default_value = literal->getString().str();
      }
      return;
    }
    clang::Expr::EvalResult result;
    if (init->EvaluateAsConstantExpr(result, context_)) into.default_value = constant_text(type, result.Val);
  }

  clang::Sema& sema_;
  clang::ASTContext& context_;
  clang::SourceManager const& sources_;
  clang::ClassTemplateDecl* parser_;
  option_struct& into_;
  diagnostics& errors_;
};

}  // namespace

void read_fields(clang::Sema& sema, clang::CXXRecordDecl const& record, option_struct& into,
                 diagnostics& errors) {
  field_reader(sema, into, errors).read(record);
}

}  // namespace morgana::driver
