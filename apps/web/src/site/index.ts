export { type SiteFile, type SiteOptions, siteFile, writeSite } from './site-files.js';
export { type SitePage, sitePage } from './site-page.js';
