#pragma once

namespace CLI {
class App;
}

namespace secateur::cli {

class Shell;

// Each adds its sub-commands to the program; the chosen one puts its work into Shell::verb.
void addInspectVerb(CLI::App &program, Shell &shell); ///< inspect
void addTextVerbs(CLI::App &program, Shell &shell); ///< tokenize, template
void addForwardVerbs(CLI::App &program, Shell &shell); ///< logits, loglikelihood, perplexity, generate
void addPruneVerbs(CLI::App &program, Shell &shell); ///< methods, analyze, plan, prune
void addTrainVerbs(CLI::App &program, Shell &shell); ///< recover, evaluate, compare
void addMiniVerb(CLI::App &program, Shell &shell); ///< make-mini
void addSessionVerbs(CLI::App &program, Shell &shell); ///< export, twin, run

} // namespace secateur::cli
