// The dashboard "Shop" in a real browser: logs in, waits for every chart, and holds its numbers against ClickHouse's own.
// Called by dev/superset, which sets the variables.
'use strict';
const { withPage, required, same } = require('./browser.js');

const BASE = required('SUPERSET_URL');
const [USER, PASSWORD] = [required('SUPERSET_ADMIN_USER'), required('SUPERSET_ADMIN_PASSWORD')];
const PICTURE = required('PICTURE');

// What each chart has to show, asked of the tables in words of its own, and how the chart's rows read as that.
const number = (value) => Math.round(Number(value) * 100) / 100;
const rows = (...columns) => (data) => data.map((row) => columns.map((column) => (typeof row[column] === 'string' ? row[column] : number(row[column]))));
const byName = (list) => [...list].sort((one, other) => (one[0] < other[0] ? -1 : 1));
// The columns behind the first hold a value each, by status and day; they are added up by status.
const sums = (data) => {
    const total = {};
    for (const row of data) {
        for (const [column, value] of Object.entries(row)) {
            if (column !== 'placed_at') total[column] = (total[column] || 0) + Number(value || 0);
        }
    }
    return byName(Object.entries(total).map(([name, value]) => [name, number(value)]));
};
const CHARTS = {
    'Orders': ['SELECT count() FROM orders FINAL', rows('orders')],
    'Revenue': ['SELECT sum(total) FROM orders FINAL', rows('revenue')],
    'Revenue per day by status': ['SELECT status, sum(total) FROM orders FINAL GROUP BY status', sums],
    'From order to delivery': [
        `SELECT 'placed', count() FROM orders FINAL UNION ALL
         SELECT 'paid', count() FROM orders FINAL WHERE status NOT IN ('pending', 'cancelled') UNION ALL
         SELECT 'shipped', count() FROM orders FINAL WHERE status IN ('shipped', 'delivered', 'returned') UNION ALL
         SELECT 'delivered', count() FROM orders FINAL WHERE status IN ('delivered', 'returned') UNION ALL
         SELECT 'kept', count() FROM orders FINAL WHERE status = 'delivered'`,
        rows('step', 'orders_at_step'),
    ],
    'Orders per hour, last seven days': [
        'SELECT count() FROM orders FINAL WHERE placed_at > (SELECT max(placed_at) - INTERVAL 7 DAY FROM orders FINAL)',
        (data) => [[data.reduce((sum, row) => sum + Number(row.orders || 0), 0)]],
    ],
    'Review scores': ['SELECT toString(rating), count() FROM reviews FINAL GROUP BY rating', rows('rating', 'reviews')],
    'Top products': [
        `SELECT name, sum(quantity), sum(quantity * unit_price) AS amount
         FROM order_items FINAL INNER JOIN products FINAL ON products.id = product_id GROUP BY name ORDER BY amount DESC LIMIT 10`,
        rows('product', 'pieces_sold', 'amount_sold'),
    ],
    'Cities': [
        `SELECT city, sum(total) AS revenue FROM orders FINAL INNER JOIN customers FINAL ON customers.id = customer_id
         GROUP BY city ORDER BY revenue DESC LIMIT 12`,
        rows('city', 'revenue'),
    ],
    'Returns by category': [
        `SELECT category, countIf(status = 'returned') / count() FROM order_items FINAL
         INNER JOIN products FINAL ON products.id = product_id INNER JOIN orders FINAL ON orders.id = order_id GROUP BY category`,
        rows('category', 'returned_share'),
    ],
    'Freshness': [
        "SELECT toUnixTimestamp(now()) - toUnixTimestamp(max(written_at)) FROM pipectl_state",
        // Seconds pass between the two questions.
        (data, wanted) => (Math.abs(Number(data[0].seconds_behind) - wanted[0][0]) <= 90 ? wanted : rows('seconds_behind')(data)),
    ],
};

async function clickhouse(sql) {
    const url = new URL(required('CLICKHOUSE_URL'));
    const login = Buffer.from(`${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`).toString('base64');
    const answer = await fetch(`${url.origin}/?database=shop`, {
        method: 'POST', headers: { Authorization: `Basic ${login}` }, body: `${sql} FORMAT JSONCompact SETTINGS output_format_json_quote_64bit_integers = 0`,
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`ClickHouse: ${text.slice(0, 300)}`);
    return JSON.parse(text).data.map((row) => row.map((value) => (typeof value === 'string' ? value : number(value))));
}

async function login(page, password) {
    await page.goto(`${BASE}/login/`);
    await page.fill('input#username', USER);
    await page.fill('input#password', password);
    const answered = page.waitForResponse((response) => response.request().method() === 'POST' && new URL(response.url()).pathname === '/login/');
    await page.click('button[type=submit]');
    await answered;
    await page.waitForLoadState('load');
    return (await page.request.get(`${BASE}/api/v1/me/`)).status();
}

// The rows that Superset sent to each chart, by the chart's name.
function listen(page, names) {
    const data = {};
    page.on('response', async (response) => {
        const url = new URL(response.url());
        if (url.pathname !== '/api/v1/chart/data' || response.status() !== 200) return;
        const slice = JSON.parse(url.searchParams.get('form_data') || '{}').slice_id;
        const body = await response.json().catch(() => null);
        if (body) data[names[slice]] = body.result[0];
    });
    return data;
}

async function waitForCharts(page, data, names) {
    await page.goto(`${BASE}/superset/dashboard/shop/?standalone=0`);
    const deadline = Date.now() + 180000;
    for (;;) {
        const left = names.filter((name) => !data[name]);
        const loading = await page.locator('[data-test="loading-indicator"], .loading').count();
        const drawn = await page.locator('.slice_container').count();
        const errors = await page.locator('[data-test="error-alert"], .ant-alert-error, .error-message').allInnerTexts();
        if (errors.length) throw new Error(`a chart shows an error: ${errors[0].slice(0, 400)}`);
        if (left.length === 0 && loading === 0 && drawn === names.length) return;
        if (Date.now() > deadline) throw new Error(`after 180 s without data: ${left.join(', ') || 'none'}; ${loading} still load, ${drawn} are drawn`);
        await page.waitForTimeout(250);
    }
}

async function compare(data) {
    for (const [name, [sql, read]] of Object.entries(CHARTS)) {
        const result = data[name];
        if (result.error) throw new Error(`${name}: ${result.error}`);
        const wanted = await clickhouse(sql);
        if (wanted.length === 0) throw new Error(`${name}: ClickHouse has nothing to show, so nothing is proved`);
        same(name, byName(read(result.data, wanted)), byName(wanted));
        console.log(`  ${name}: ${wanted.length === 1 && wanted[0].length === 1 ? wanted[0][0] : `${wanted.length} values`}`);
    }
}

// What stands on the page, not only what was sent to it.
async function readPage(page) {
    const shown = async (name) => page.locator(`[data-test-chart-name="${name}"] .header-line`).first().innerText();
    const [[orders]] = await clickhouse('SELECT count() FROM orders FINAL');
    same('the number on the page', await shown('Orders'), orders.toLocaleString('en-US'));
    const [[revenue]] = await clickhouse('SELECT sum(total) FROM orders FINAL');
    same('the number on the page', await shown('Revenue'), revenue.toLocaleString('en-US', { minimumFractionDigits: 2 }));
    const [[product]] = await clickhouse(CHARTS['Top products'][0].replace('LIMIT 10', 'LIMIT 1'));
    same('the first product on the page', await page.locator('[data-test-chart-name="Top products"] tbody tr').first().locator('td').first().innerText(), product);
}

withPage({ viewport: { width: 1440, height: 2000 }, failed: required('FAILED') }, async (page, problems) => {
    same('the login with a wrong password', await login(page, `${PASSWORD}-and-more`), 401);
    problems.length = 0;
    same('the login', await login(page, PASSWORD), 200);
    const answer = await page.request.get(`${BASE}/api/v1/dashboard/shop/charts`);
    if (!answer.ok()) throw new Error(`there is no dashboard "shop": ${answer.status()}`);
    const names = Object.fromEntries((await answer.json()).result.map((chart) => [chart.id, chart.slice_name]));
    same('the charts of the dashboard', Object.values(names).sort(), Object.keys(CHARTS).sort());
    const data = listen(page, names);
    await waitForCharts(page, data, Object.values(names));
    await compare(data);
    await readPage(page);
    // The charts move into place.
    await page.waitForTimeout(2500);
    await page.screenshot({ path: PICTURE, clip: await picture(page) });
    if (problems.length) throw new Error('requests of the page failed');
    console.log(`${Object.keys(CHARTS).length} charts drawn, their numbers are ClickHouse's; picture: ${PICTURE}`);
});

// From the dashboard's title to the end of its last row.
async function picture(page) {
    const content = await page.locator('.dashboard-content, [data-test="dashboard-content-wrapper"]').first().boundingBox();
    const last = await page.locator('.dashboard-component-chart-holder').last().boundingBox();
    const header = await page.locator('[data-test="dashboard-header-container"]').first().boundingBox();
    const top = header ? header.y : content.y;
    return { x: 0, y: top, width: 1440, height: last.y + last.height + 24 - top };
}
