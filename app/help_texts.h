#pragma once

#include <QString>

namespace secateur {

/// A help card: title and rich text.
struct HelpText {
    QString title;
    QString html;
};

/// Card of a view (0 = Importance … 5 = Compare).
HelpText viewHelp(int tab);
HelpText firstStepsHelp();
HelpText methodsHelp();
HelpText keyboardHelp();

} // namespace secateur
