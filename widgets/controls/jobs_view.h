#pragma once

#include "widgets/models/jobs_model.h"

#include <QWidget>

namespace secateur {

/// The Jobs dock: table with progress bars and a cancel button per running row. Delete cancels, Enter shows the result.
class JobsView : public QWidget {
    Q_OBJECT
public:
    explicit JobsView(JobsModel *model, QWidget *parent = nullptr);

Q_SIGNALS:
    void cancelRequested(int id);
    void showRequested(int id);
};

} // namespace secateur
