DROP VIEW figures_by_month;
DROP TABLE statistics_by_month;
