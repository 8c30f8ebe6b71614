#include "text/jinja/jinja.h"

#include "text/jinja/interpreter.h"
#include "text/jinja/syntax.h"

namespace belay::text::jinja {

base::Result<Template> Template::parse(std::string_view source, std::string name) {
  BELAY_ASSIGN_OR_RETURN(Program program, jinja::parse(source, std::move(name)));
  return Template(std::make_shared<const Program>(std::move(program)));
}

base::Result<Rendered> Template::render(const Variables& variables,
                                        const RenderOptions& options) const {
  return Interpreter(*program_, options).run(variables);
}

}  // namespace belay::text::jinja
